import dataclasses
import errno
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_bucket import Bucket, upload
from tfds_sets import F, example, plain_features, two_shards, write_set

from jaxnext.data.tfds_split import TfdsSource, check_apart, open_tfds, tfds_source, validation_split
from jaxnext.errors import JaxnextError, UsageError


def opened(folder: Path, split: str = "train", store: Path | None = None) -> TfdsSource:
    source, lines = tfds_source(open_tfds(None, str(folder), None), split, "data.source.train_split", store)
    assert lines == []
    return source


def test_a_split(tmp_path: Path) -> None:
    folder = write_set(tmp_path, {"train": two_shards(5), "test": two_shards(2, 10)})
    source = opened(folder)
    assert len(source) == 5
    assert source.classes == ("cat", "dog")
    assert source.names == ("0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg")
    assert source.labels.tolist() == [0, 1, 0, 1, 0]
    assert source.labels.dtype == np.int32
    assert [source.read(i) for i in range(5)] == [b"image %d" % i for i in range(5)]
    assert not source.in_memory
    assert source.location(3) == f"{folder}/pets-train.array_record-00001-of-00002[1] (3.jpg)"
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize(
    ("split", "numbers"),
    [
        ("train[:40%]", [0, 1]),
        ("train[3:]", [3, 4]),
        ("train[1:4]", [1, 2, 3]),
        ("test+train[4:]", [10, 11, 4]),
        ("train[:1]+train[-1:]", [0, 4]),
    ],
)
def test_parts_of_splits(tmp_path: Path, split: str, numbers: list[int]) -> None:
    folder = write_set(tmp_path, {"train": two_shards(5), "test": two_shards(2, 10)})
    source = opened(folder, split)
    assert source.names == tuple(f"{number}.jpg" for number in numbers)
    assert [source.read(i) for i in range(len(source))] == [b"image %d" % number for number in numbers]
    places = [source.location(i).partition("[")[0] for i in range(len(source))]
    whole = {opened(folder, s).names[i]: opened(folder, s).location(i) for s in ("train", "test") for i in range(2)}
    for name, place in zip(source.names, places, strict=True):
        assert whole.get(name, place).startswith(place)


def test_without_file_names_images_are_numbered_in_their_split(tmp_path: Path) -> None:
    features = {key: value for key, value in plain_features().items() if key != "file_name"}
    shards = [[{k: e[k] for k in features} for e in shard] for shard in two_shards(5)]
    folder = write_set(tmp_path, {"train": shards, "val": shards}, features)
    assert opened(folder).names == ("train:0", "train:1", "train:2", "train:3", "train:4")
    assert opened(folder, "train[3:]+val[:1]").names == ("train:3", "train:4", "val:0")


def test_it_pickles_into_another_process(tmp_path: Path) -> None:
    source = opened(write_set(tmp_path, {"train": two_shards(5)}))
    source.read(0)
    code = "import pickle, sys; s = pickle.load(sys.stdin.buffer); print(s.read(4).decode(), s.names[4], len(s))"
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(source), capture_output=True, check=True)
    assert done.stdout == b"image 4 4.jpg 5\n"


def test_stamps_change_with_the_shard(tmp_path: Path) -> None:
    folder = write_set(tmp_path, {"train": two_shards(5)})
    source = opened(folder)
    first = [source.stamp(i) for i in range(5)]
    assert len(set(first)) == 5
    assert all(0 < stamp < 2**63 for stamp in first)
    assert [opened(folder).stamp(i) for i in range(5)] == first
    shard = folder / "pets-train.array_record-00001-of-00002"
    os.utime(shard, ns=(5, 5))
    second = [source.stamp(i) for i in range(5)]
    assert [a == b for a, b in zip(first, second, strict=True)] == [True, True, False, False, False]
    shard.unlink()
    with pytest.raises(FileNotFoundError):
        source.stamp(4)


def test_labels_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_set(tmp_path / "sets", {"train": two_shards(300, classes=2)})
    first = opened(folder, store=tmp_path / "store")
    reads: list[Any] = []
    base = "tensorflow_datasets.core.data_sources.base.BaseDataSource.__getitems__"
    monkeypatch.setattr(base, lambda self, keys: reads.append(keys))
    again = opened(folder, store=tmp_path / "store")
    assert (again.names, again.labels.tolist()) == (first.names, first.labels.tolist())
    assert reads == []
    monkeypatch.undo()
    # Another split, or shards that have changed, are read.
    assert opened(folder, "train[10:20]", tmp_path / "store").names == first.names[10:20]
    other = write_set(tmp_path / "other", {"train": two_shards(300, 1000)})
    for path in other.iterdir():
        path.replace(folder / path.name)
    assert opened(folder, store=tmp_path / "store").names[0] == "1000.jpg"


def test_a_store_that_cannot_be_written_is_a_line(tmp_path: Path) -> None:
    folder = write_set(tmp_path, {"train": two_shards(3)})
    (tmp_path / "file").touch()
    source, lines = tfds_source(
        open_tfds(None, str(folder), None), "train", "data.source.train_split", tmp_path / "file"
    )
    assert len(source) == 3
    assert len(lines) == 1
    assert lines[0].startswith(f"warning: {tmp_path}/file/")
    assert f"labels of {folder}: the file cannot be written (" in lines[0]


@pytest.mark.parametrize(
    ("features", "found"),
    [
        ({"image": F.Image()}, "image (Image)"),
        ({"label": F.ClassLabel(num_classes=2), "image": F.Text()}, "image (Text), label (ClassLabel)"),
        (
            {"image": F.Image(), "label": F.ClassLabel(num_classes=2), "mask": F.Image()},
            "image (Image), label (ClassLabel), mask (Image)",
        ),
        (
            {"image": F.Image(dtype=np.uint16, encoding_format="png"), "label": F.ClassLabel(num_classes=2)},
            "image (Image), label (ClassLabel)",
        ),
    ],
)
def test_features_that_do_not_fit(tmp_path: Path, features: dict[str, Any], found: str) -> None:
    folder = write_set(tmp_path, {"train": [[]]}, features)
    with pytest.raises(JaxnextError) as caught:
        opened(folder)
    assert str(caught.value) == (
        f"{folder}: expected one Image of 8 bits and one ClassLabel in an example, found {found}"
    )


def test_of_several_labels_that_of_supervised_learning_counts(tmp_path: Path) -> None:
    features = plain_features() | {
        "species": F.ClassLabel(num_classes=9),
        "mask": F.Image(),
        "nested": F.FeaturesDict({"image": F.Image()}),
        "frames": F.Sequence(F.Image()),
    }
    others = {"species": 7, "mask": b"mask", "nested": {"image": b"no image"}, "frames": [b"a", b"b"]}
    shard = [example(i, i % 2) | others for i in range(4)]
    folder = write_set(tmp_path, {"train": [shard]}, features, supervised_keys=("image", "label"))
    source = opened(folder)
    assert source.labels.tolist() == [0, 1, 0, 1]
    assert source.read(1) == b"image 1"


def test_classes_without_names_are_numbers(tmp_path: Path) -> None:
    features = plain_features() | {"label": F.ClassLabel(num_classes=3)}
    assert opened(write_set(tmp_path, {"train": two_shards(3)}, features)).classes == ("0", "1", "2")


@pytest.mark.parametrize("split", ["valid", "train[", "valid[:10%]", "train,test", "", "train[:10%"])
def test_a_split_that_is_missing(tmp_path: Path, split: str) -> None:
    folder = write_set(tmp_path, {"train": two_shards(3), "test": two_shards(3)})
    with pytest.raises(UsageError) as caught:
        opened(folder, split)
    assert str(caught.value) == (
        f"data.source.train_split: expected one of the splits test, train of {folder}, or "
        f"a part of one such as test[:80%], "
        f"found {split!r}"
    )


def test_an_empty_part(tmp_path: Path) -> None:
    folder = write_set(tmp_path, {"train": two_shards(3)})
    with pytest.raises(JaxnextError, match=r"data\.source\.train_split: the split 'train\[3:\]' of .* holds no images"):
        opened(folder, "train[3:]")


def test_images_that_stand_twice(tmp_path: Path) -> None:
    folder = write_set(tmp_path, {"train": two_shards(4), "val": two_shards(2)})
    with pytest.raises(
        UsageError, match=r"data\.source\.train_split: expected each image once, found some twice in 'train\+"
    ):
        opened(folder, "train+train[:1]")
    with pytest.raises(UsageError) as caught:
        check_apart(opened(folder, "train[:75%]"), opened(folder, "train[50%:]"), "train[:75%]", "train[50%:]")
    assert str(caught.value) == (
        "data.source.val_split: expected other images than those of data.source.train_split 'train[:75%]', "
        "found 1 of them in "
        "'train[50%:]'"
    )
    check_apart(opened(folder, "train[:50%]"), opened(folder, "train[50%:]"), "", "")
    check_apart(opened(folder, "train"), opened(folder, "val"), "", "")


def test_shards_that_are_missing_or_damaged(tmp_path: Path) -> None:
    folder = write_set(tmp_path, {"train": two_shards(6)})
    # A copy has no file open yet.
    source = pickle.loads(pickle.dumps(opened(folder)))
    shard = folder / "pets-train.array_record-00001-of-00002"
    content = shard.read_bytes()
    shard.write_bytes(content[:-1])
    with pytest.raises(JaxnextError) as caught:
        opened(folder)
    assert str(caught.value).startswith(f"{folder}/pets-train.array_record-00000-of-00002, {shard}: the shard cannot")
    assert "\n" not in str(caught.value)
    with pytest.raises(OSError, match="Riegeli"):
        source.read(5)
    assert source.read(0) == b"image 0"
    shard.unlink()
    with pytest.raises(JaxnextError, match=r"00001-of-00002: no such file; dataset_info\.json beside it lists it as a"):
        opened(folder)


def test_images_without_a_label(tmp_path: Path) -> None:
    folder = write_set(tmp_path, {"train": [[example(0, 0), example(1, -1), example(2, -1)]]})
    with pytest.raises(JaxnextError) as caught:
        opened(folder)
    assert str(caught.value) == (
        f"{folder}: expected labels from 0 to 1 in the split train, found another in 2 of 3 images"
    )


def test_other_formats_are_refused(tmp_path: Path) -> None:
    folder = write_set(tmp_path, {"train": [[]]}, file_format="tfrecord")
    with pytest.raises(JaxnextError) as caught:
        open_tfds(None, str(folder), None)
    assert str(caught.value) == (
        f"{folder}: expected a data set in array_record files, found tfrecord; prepare it with: tfds build pets "
        "--file_format=array_record"
    )


def test_where_data_sets_are(tmp_path: Path) -> None:
    folder = write_set(tmp_path, {"train": two_shards(3)})
    for source, path, default in (
        (None, str(tmp_path), None),
        ("pets", str(tmp_path), "/nowhere"),
        ("pets", None, str(tmp_path)),
    ):
        assert str(open_tfds(source, path, default).data_dir) == str(folder)
    with pytest.raises(UsageError, match=r"data\.path: expected the folder of a TFDS data set, found null"):
        open_tfds(None, None, str(tmp_path))


def test_validation_is_never_test(tmp_path: Path) -> None:
    def of(name: str, *splits: str) -> str | None:
        write_set(tmp_path, {split: two_shards(2) for split in splits}, name=name)
        return validation_split(open_tfds(name, str(tmp_path), None))

    assert of("a", "train", "test") is None
    assert of("b", "train", "val", "test") == "val"
    assert of("c", "train", "validation", "val") == "validation"


def test_a_data_set_in_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_set(tmp_path / "sets", {"train": two_shards(5), "val": two_shards(2, 10)})
    upload(monkeypatch, folder, "gs://bucket/pets/1.0.0", tmp_path)
    for place in ("gs://bucket/pets/1.0.0", "gs://bucket/pets"):
        builder = open_tfds(None, place, None)
        assert str(builder.data_dir) == "gs://bucket/pets/1.0.0"
    source, lines = tfds_source(builder, "train", "data.source.train_split", tmp_path / "store")
    assert lines == []
    assert [source.read(i) for i in range(5)] == [b"image %d" % i for i in range(5)]
    assert source.location(3) == "gs://bucket/pets/1.0.0/pets-train.array_record-00001-of-00002[1] (3.jpg)"
    Bucket.asked.clear()
    stamps = [source.stamp(i) for i in range(5)]
    assert len(set(stamps)) == 5
    assert all(0 < stamp < 2**63 for stamp in stamps)
    # The shards' sizes are known from when the labels were read.
    assert Bucket.asked == []
    by_name = open_tfds("pets", None, "gs://bucket")
    assert str(by_name.data_dir) == "gs://bucket/pets/1.0.0"


def test_a_shard_that_is_missing_in_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_set(tmp_path / "sets", {"train": two_shards(5)})
    (folder / "pets-train.array_record-00001-of-00002").unlink()
    upload(monkeypatch, folder, "gs://other/pets/1.0.0", tmp_path)
    with pytest.raises(JaxnextError) as caught:
        tfds_source(open_tfds(None, "gs://other/pets/1.0.0", None), "train", "data.source.train_split")
    assert str(caught.value) == (
        "gs://other/pets/1.0.0/pets-train.array_record-00001-of-00002: no such file; dataset_info.json beside it lists "
        "it as a shard of the data set"
    )


@pytest.mark.parametrize(
    ("message", "file", "number", "reason"),
    [
        ("open() failed: Too many open files; opening /d/s", "/d/s", errno.EMFILE, "Too many open files"),
        ("pread() failed: Input/output error; reading /d/s", "/d/s", errno.EIO, "Input/output error"),
        ("open() failed: No such file or directory; opening /d/s", "/d/s", errno.ENOENT, "No such file or directory"),
        ("Corrupted Riegeli/records file: chunk data hash mismatch", "/d/s", None, None),
        ("Corrupted Riegeli/records file: chunk data hash mismatch", "gs://b/s", None, None),
        ("Could not connect to the server", "gs://b/s", errno.EIO, "Could not connect to the server"),
    ],
)
def test_faults_of_the_machine_keep_their_numbers(
    tmp_path: Path, message: str, file: str, number: int | None, reason: str | None
) -> None:
    class Records:
        def __getitem__(self, index: int) -> bytes:
            raise RuntimeError(message)

    source = opened(write_set(tmp_path, {"train": two_shards(2)}))
    failing = dataclasses.replace(source, records=Records(), files=(file,) * 2)
    with pytest.raises(OSError, match=re.escape(reason or message)) as error:
        failing.read(0)
    assert (error.value.errno, error.value.strerror) == (number, reason)
