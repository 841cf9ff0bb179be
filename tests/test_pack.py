import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from packed_images import CLASSES, Counter, contents, encoded, pack_folder, write_folder
from PIL import Image, ImageOps
from square import square

from jaxnext.config.sections import SOURCES, DataConfig
from jaxnext.data.decode import decode
from jaxnext.data.pixels import Pixels
from jaxnext.data.resize import resize
from jaxnext.data.splits import Splits, load_splits
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.file_digests import sha256

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("pack") / "My Images", {"train": 5, "val": 2, "test": 1})


def of_folder(folder: Path) -> Splits:
    return load_splits(DataConfig(path=str(folder)), 0)


def of_tfds(folder: Path) -> Splits:
    return load_splits(DataConfig(source=SOURCES.choose("tfds"), path=str(folder)), 0)


def test_round_trip_of_the_files(folder: Path, tmp_path: Path) -> None:
    outcome = pack_folder(folder, tmp_path)
    assert outcome == (tmp_path / "my_images/1.0.0", (), True)
    here, there = of_folder(folder), of_tfds(outcome.folder)
    assert here.classes == there.classes == CLASSES
    assert "tensorflow" not in sys.modules
    for a, b in ((here.train, there.train), (here.validation, there.validation)):
        assert b.names == a.names
        assert b.labels.tolist() == a.labels.tolist()
        assert [b.read(i) for i in range(len(b))] == [a.read(i) for i in range(len(a))]
    assert (len(there.train), len(there.validation)) == (15, 6)
    test = load_splits(
        DataConfig(source=SOURCES.choose("tfds", train_split="test", val_split="validation"), path=str(tmp_path)), 0
    )
    assert test.train.names == ("10/image0.jpg", "2/image0.jpg", "cat dog/image0.jpg")


def test_round_trip_of_resized_images_is_equal_to_the_pixel(folder: Path, tmp_path: Path) -> None:
    outcome = pack_folder(folder, tmp_path, pixels=square(24), name="small")
    here, there = of_folder(folder), of_tfds(outcome.folder)
    assert there.train.names == here.train.names
    for a, b in ((here.train, there.train), (here.validation, there.validation)):
        for i in range(len(a)):
            expected, stored = resize(decode(a.read(i), square(24)), square(24)), b.read(i)
            assert Image.open(io.BytesIO(stored)).format == "PNG"
            assert decode(stored, square(24)).shape == (24, 24, 3)
            np.testing.assert_array_equal(decode(stored, square(24)), expected)
            np.testing.assert_array_equal(resize(decode(stored, square(24)), square(24)), expected)


def test_what_is_packed_is_upright_and_its_rules_are_noted(folder: Path, tmp_path: Path) -> None:
    copy, exif = shutil.copytree(folder, tmp_path / folder.name), Image.Exif()
    exif[0x0112] = 6
    file = copy / "train/2/image0.jpg"
    Image.open(file).save(file, "JPEG", exif=exif)
    rules = Pixels((20, 24), "pad")
    place = pack_folder(copy, tmp_path, pixels=rules).folder
    here, there = of_folder(copy), of_tfds(place)
    number = there.train.names.index("2/image0.jpg")
    stored = decode(there.train.read(number), rules)
    np.testing.assert_array_equal(stored, resize(decode(file.read_bytes(), rules), rules))
    assert np.array_equal(decode(file.read_bytes(), rules), np.array(ImageOps.exif_transpose(Image.open(file))))
    metadata = json.loads((place / "metadata.json").read_text())
    assert (metadata["image_size"], metadata["pixels"]) == ([20, 24], rules.to_json())
    with pytest.raises(UsageError, match="holds a data set of other images"):
        pack_folder(copy, tmp_path, pixels=Pixels((20, 24)))
    # The file as it is keeps its EXIF, and is turned when it is read.
    kept = of_tfds(pack_folder(copy, tmp_path, name="files").folder).train
    assert kept.read(kept.names.index("2/image0.jpg")) == file.read_bytes()
    assert len(here.train) == len(kept)


def test_tfds_reads_it_as_its_own(folder: Path, tmp_path: Path) -> None:
    place = pack_folder(folder, tmp_path, pixels=square(24), name="small").folder
    builder = tfds.builder_from_directory(str(place))
    info = builder.info
    assert info.full_name == "small/1.0.0"
    assert {name: split.num_examples for name, split in info.splits.items()} == {
        "train": 15,
        "validation": 6,
        "test": 3,
    }
    assert info.splits["train"].shard_lengths == [15]
    assert info.supervised_keys == ("image", "label")
    assert info.features["label"].names == list(CLASSES)
    assert info.features["image"].shape == (24, 24, 3)
    example = builder.as_data_source("train")[0]
    assert (example["label"], example["file_name"]) == (0, b"10/deep/image3.webp")
    first = resize(decode((folder / "train/10/deep/image3.webp").read_bytes(), square(24)), square(24))
    np.testing.assert_array_equal(example["image"], first)
    records = builder.as_data_source("train", deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
    assert info.splits["train"].num_bytes == sum(map(len, records))
    metadata = json.loads((place / "metadata.json").read_text())
    assert metadata["sha256"] == {path.name: sha256(path) for path in place.glob("*array_record*")}
    assert (metadata["image_size"], metadata["skipped"]) == (24, 0)
    assert tfds.builder("small", data_dir=str(tmp_path)).info.full_name == "small/1.0.0"


def test_a_folder_of_class_folders_is_all_for_training(folder: Path, tmp_path: Path) -> None:
    place = pack_folder(folder / "val", tmp_path).folder
    assert place == tmp_path / "val/1.0.0"
    assert list(tfds.builder_from_directory(str(place)).info.splits) == ["train"]


def test_output_is_the_same_to_the_byte(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "other" / folder.name)
    (copy / "train/2/image0.jpg").touch()
    one = pack_folder(folder, tmp_path / "one", pixels=square(24), threads=1).folder
    two = pack_folder(copy, tmp_path / "two", pixels=square(24), threads=3).folder
    assert contents(one) == contents(two)
    assert sorted(contents(one)) == [
        "SHA256SUMS",
        "dataset_info.json",
        "features.json",
        "label.labels.txt",
        "metadata.json",
        "my_images-test.array_record-00000-of-00001",
        "my_images-train.array_record-00000-of-00001",
        "my_images-validation.array_record-00000-of-00001",
    ]


def several_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tensorflow_datasets.core.utils.shard_utils.ShardConfig.get_number_shards", lambda *_: 3)


def test_an_interrupted_call_is_gone_on_with(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    several_shards(monkeypatch)
    whole = pack_folder(folder, tmp_path / "whole").folder
    done = 0

    class Interrupted(Counter):
        def update(self, count: int) -> None:
            nonlocal done
            done += count
            if done == 12:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack_folder(folder, tmp_path / "two", progress=Interrupted())
    work = tmp_path / "two/my_images/incomplete.1.0.0"
    assert not (tmp_path / "two/my_images/1.0.0").exists()
    finished = {path.name: path.stat().st_mtime_ns for path in work.glob("*array_record*")}
    assert set(finished) == {f"my_images-train.array_record-0000{i}-of-00003" for i in (0, 1)}
    counter, said = Counter(), []
    again = pack_folder(folder, tmp_path / "two", progress=counter, say=said.append).folder
    assert contents(again) == contents(whole)
    assert {name: (again / name).stat().st_mtime_ns for name in finished} == finished
    assert (counter.total, counter.done) == (24, 24)
    assert said[-1:] == [f"{work}: 2 of 9 shards were finished by an earlier call"]


@pytest.mark.slow
def test_a_killed_call_is_gone_on_with(folder: Path, tmp_path: Path) -> None:
    whole = pack_folder(folder, tmp_path / "whole").folder
    work = tmp_path / "two/my_images/incomplete.1.0.0"
    code = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, "tests")
from packed_images import pack_folder
from jaxnext.data.packing import shards as pack_shards
stored = pack_shards._stored
def killed_in_the_second_shard(*arguments):
    if list(Path(sys.argv[3]).glob("my_images-train*")):
        os.kill(os.getpid(), signal.SIGKILL)
    return stored(*arguments)
pack_shards._stored = killed_in_the_second_shard
pack_folder(Path(sys.argv[1]), Path(sys.argv[2]))
"""
    command = [sys.executable, "-c", code, str(folder), str(tmp_path / "two"), str(work)]
    killed = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in work.glob("my_images-*")] == ["my_images-train.array_record-00000-of-00001"]
    assert [path.name for path in work.glob(".*")] == [".my_images-validation.array_record-00000-of-00001.part"]
    assert contents(pack_folder(folder, tmp_path / "two").folder) == contents(whole)


def test_shards_of_images_that_have_changed_are_not_reused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several_shards(monkeypatch)
    copy = shutil.copytree(folder, tmp_path / folder.name)
    (copy / "test/2/image0.jpg").write_bytes(b"no image")
    assert not pack_folder(copy, tmp_path / "out").finished
    (copy / "test/2/image0.jpg").write_bytes(encoded(99, "JPEG"))
    (copy / "train/10/image0.jpg").write_bytes(encoded(98, "JPEG"))
    work = tmp_path / "out/my_images/incomplete.1.0.0"
    spoilt = work / "my_images-validation.array_record-00001-of-00003"
    spoilt.write_bytes(spoilt.read_bytes()[:-1])
    (work / "my_images-train.array_record-00007-of-00008").touch()
    said: list[str] = []
    outcome = pack_folder(copy, tmp_path / "out", say=said.append)
    assert said[-1:] == [f"{work}: 6 of 9 shards were finished by an earlier call"]
    assert contents(outcome.folder) == contents(pack_folder(copy, tmp_path / "fresh").folder)


def test_corrupt_images_stop_or_are_skipped(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / folder.name)
    good = (copy / "train/2/image1.png").read_bytes()
    for name, content in {"train/2/a.jpg": b"", "train/2/b.jpg": b"text", "val/10/c.png": good[:-40]}.items():
        (copy / name).write_bytes(content)
    warned: list[str] = []
    outcome = pack_folder(copy, tmp_path / "out", warn=warned.append)
    assert (outcome.finished, outcome.folder.exists()) == (False, False)
    assert outcome.corrupt is not None
    assert [(path, reason) for path, reason in outcome.corrupt[:2]] == [
        (f"{copy}/train/2/a.jpg", "the file is empty"),
        (f"{copy}/train/2/b.jpg", "not an image that Pillow can read"),
    ]
    assert outcome.corrupt[2][0] == f"{copy}/val/10/c.png"
    assert warned == [f"{path}: the image cannot be read ({reason})" for path, reason in outcome.corrupt]
    warned.clear()
    said: list[str] = []
    again = pack_folder(copy, tmp_path / "out", on_corrupt="skip", warn=warned.append, say=said.append)
    assert (again.finished, again.corrupt) == (True, outcome.corrupt)
    assert len(warned) == 3
    assert said[-1:] == [
        f"{again.folder.with_name('incomplete.1.0.0')}: 3 of 3 shards were finished by an earlier call"
    ]
    packed = of_tfds(again.folder)
    assert packed.train.names == of_folder(folder).train.names
    assert packed.validation.names == of_folder(folder).validation.names
    assert json.loads((again.folder / "metadata.json").read_text())["skipped"] == 2 + 1


def test_a_split_without_a_good_image(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / folder.name)
    for name in CLASSES:
        (copy / "test" / name / "image0.jpg").write_bytes(b"")
    with pytest.raises(JaxnextError, match=r"none of the 3 images of the split test can be decoded"):
        pack_folder(copy, tmp_path / "out", on_corrupt="skip")


def test_a_shard_without_a_good_image(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    several_shards(monkeypatch)
    copy = shutil.copytree(folder, tmp_path / folder.name)
    (copy / "test/2/image0.jpg").write_bytes(b"")
    place = pack_folder(copy, tmp_path / "out", on_corrupt="skip").folder
    assert tfds.builder_from_directory(str(place)).info.splits["test"].shard_lengths == [1, 0, 1]
    data = DataConfig(source=SOURCES.choose("tfds", train_split="test", val_split="validation"), path=str(place))
    assert load_splits(data, 0).train.names == ("10/image0.jpg", "cat dog/image0.jpg")


def test_what_is_packed_already(folder: Path, tmp_path: Path) -> None:
    place = pack_folder(folder, tmp_path).folder
    before = contents(place)
    said: list[str] = []
    assert pack_folder(folder, tmp_path, say=said.append) == (place, None, True)
    assert said[-1:] == [f"{place}: packed already"]
    for options in ({"pixels": square(24)}, {"folder": folder / "val", "name": "my_images"}):
        with pytest.raises(
            UsageError, match=r"my_images/1\.0\.0: holds a data set of other images or another --image_"
        ):
            pack_folder(**({"folder": folder, "output": tmp_path} | options))
    assert contents(place) == before
    # A copy of the images with other times is the same; other content of the same size and time is not.
    copy = shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)
    assert pack_folder(copy, tmp_path, name="my_images").finished
    file = copy / "train/2/image0.jpg"
    status, content = file.stat(), file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(UsageError, match="holds a data set of other images"):
        pack_folder(copy, tmp_path, name="my_images")


def test_an_output_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        JaxnextError, match=r"file/my_images: expected a folder that can be written, found: Not a directory"
    ):
        pack_folder(folder, tmp_path / "file")
