import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packed_images import write_folder
from square import square

from jaxnext.data.image_source import ImageSource
from jaxnext.data.packing import plan
from jaxnext.data.packing.plan import dataset_name, plan_shards
from jaxnext.data.pixels import Pixels
from jaxnext.data.splits import OpenContext
from jaxnext.errors import JaxnextError, UsageError


def find_splits(path: Path, **context: str) -> tuple[dict[str, ImageSource], list[str]]:
    sources, lines, _ = plan.find_splits(OpenContext(str(path), hold_out=False, **context))
    return sources, list(lines)


@pytest.mark.parametrize(
    ("folder", "name"), [("/d/Flowers", "flowers"), ("/d/My Photos-2024 ", "my_photos_2024"), ("/d/a__b.c", "a_b_c")]
)
def test_name_of_a_folder(folder: str, name: str) -> None:
    assert dataset_name(folder, None) == name
    assert dataset_name(folder, "given_1") == "given_1"


def test_names_that_cannot_be() -> None:
    for folder in ("/d/2024", "/d/写真", "/"):
        with pytest.raises(UsageError, match="--name is missing: no name of a data set can be made of "):
            dataset_name(folder, None)
    for name in ("2a", "A", "a-b", "", "a/b", "a b"):
        with pytest.raises(UsageError, match="--name: expected small letters, digits and _, the first a letter, found"):
            dataset_name("/d/x", name)


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1))
def test_a_name_is_one_that_is_taken_or_asked_for(folder: str) -> None:
    try:
        made = dataset_name(f"/d/{folder}", None)
    except UsageError:
        return
    assert dataset_name("/d/x", made) == made


def test_splits(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "x", {"train": 2, "val": 1, "test": 1, "extra": 1})
    (root / "notes.txt").touch()
    (root / "train/2/.hidden").touch()
    sources, lines = find_splits(root)
    assert {name: len(source) for name, source in sources.items()} == {"train": 6, "validation": 3, "test": 3}
    assert lines == [
        f"{root}/train: 6 images of 3 classes for training; {root}/val: 3 for validation",
        f"{root}/test: 3 images for testing",
        f"{root}/train: left out 1 entry that is hidden or no image (.hidden 1)",
        f"{root}: left out extra/, notes.txt",
    ]
    sources, lines = find_splits(root / "train")
    assert list(sources) == ["train"]


def test_a_test_folder_without_class_folders(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "x", {"train": 1})
    (root / "test").mkdir()
    for name in ("b.png", "a.png"):
        (root / "test" / name).touch()
    sources, lines = find_splits(root)
    assert sources["test"].names == ("a.png", "b.png")
    assert sources["test"].labels.tolist() == [-1, -1]
    assert lines == [f"{root}/train: 3 images of 3 classes", f"{root}/test: 2 images for testing"]


def test_splits_of_an_archive_and_of_a_file_with_labels(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "x", {"train": 2, "val": 1, "test": 1})
    archive = Path(shutil.make_archive(str(tmp_path / "My-images"), "zip", root))
    found, plain = find_splits(archive)[0], find_splits(root)[0]
    for split, source in plain.items():
        assert (found[split].names, found[split].labels.tolist()) == (source.names, source.labels.tolist())
        sizes = [len(source.read(i)) for i in range(len(source))]
        assert [plan._size_and_identity(found[split], i)[0] for i in range(len(source))] == sizes
    assert dataset_name(str(archive), None) == "my_images"
    names = [f"train/{name}" for name in plain["train"].names]
    rows = [f"{name},{i % 2},{('train', 'val')[i % 3 == 0]}\n" for i, name in enumerate(names)]
    (tmp_path / "labels.csv").write_text("image,label,split\n" + "".join(rows))
    labelled = find_splits(archive, labels=str(tmp_path / "labels.csv"))[0]
    found_labels = {split: source.labels.tolist() for split, source in labelled.items()}
    assert found_labels == {"train": [0, 0, 1, 1], "validation": [0, 1]}
    with pytest.raises(UsageError, match="--name is missing: no name of a data set can be made of several paths"):
        dataset_name(("a", "b"), None)


def test_splits_that_cannot_be_packed(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "x", {"val": 1})
    with pytest.raises(JaxnextError, match=r"x: expected train/ beside val/, found none"):
        find_splits(root)
    root = write_folder(tmp_path / "y", {"train": 1})
    (root / "test/new").mkdir(parents=True)
    (root / "test/new/a.png").touch()
    with pytest.raises(JaxnextError, match=r"test/new: expected one of the 3 classes 10, 2, cat dog, found 'new'"):
        find_splits(root)
    with pytest.raises(JaxnextError, match="nowhere: no such folder; give"):
        find_splits(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["cat ", " cat"])
def test_class_names_that_tfds_would_alter(tmp_path: Path, name: str) -> None:
    for folder in (name, "dog"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").touch()
    with pytest.raises(JaxnextError, match="expected class names without blanks at the ends, found "):
        find_splits(tmp_path)


def test_file_names_that_are_not_utf8(tmp_path: Path) -> None:
    for name in ("a/\udcff.png", "b/1.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    with pytest.raises(JaxnextError, match=r"a/\\udcff\.png': expected a file name in UTF-8; rename the file"):
        find_splits(tmp_path)


def test_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_folder(tmp_path / "x", {"train": 3, "val": 1})
    sources, _ = find_splits(root)
    assert [(s.file, s.numbers) for s in plan_shards("x", sources, None)] == [
        ("x-train.array_record-00000-of-00001", range(9)),
        ("x-validation.array_record-00000-of-00001", range(3)),
    ]
    # As many shards as TFDS would make of so many bytes: a thousand images of 600x600 are 1.08 GB.
    seen: list[tuple[int, int]] = []

    def number(self, total: int, images: int) -> int:
        seen.append((total, images))
        return 2

    monkeypatch.setattr("tensorflow_datasets.core.utils.shard_utils.ShardConfig.get_number_shards", number)
    shards = plan_shards("x", {"train": sources["train"]}, square(600))
    assert seen == [(9 * 600 * 600 * 3, 9)]
    assert [(s.file, s.numbers) for s in shards] == [
        ("x-train.array_record-00000-of-00002", range(4)),
        ("x-train.array_record-00001-of-00002", range(4, 9)),
    ]
    plan_shards("x", {"train": sources["train"]}, None)
    assert seen[1] == (sum(path.stat().st_size for path in (root / "train").rglob("*.*")), 9)


def test_a_file_that_is_gone_is_planned_and_said_when_it_is_read(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "x", {"train": 1})
    (root / "train" / "2" / "dead.png").symlink_to(tmp_path / "nowhere.png")
    sources, _ = find_splits(root)
    assert [shard.numbers for shard in plan_shards("x", sources, None)] == [range(4)]


def test_digests_tell_what_has_changed(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "x", {"train": 2})

    def digest(pixels: Pixels | None = None) -> str:
        return plan_shards("x", find_splits(root)[0], pixels)[0].digest

    found = [digest(), digest(square(24))]
    file = root / "train/2/image1.png"
    os.utime(file, ns=(1, 1))
    found.append(digest())
    # Of the same size and time, and not the same.
    content = file.read_bytes()
    file.write_bytes(content[::-1])
    os.utime(file, ns=(1, 1))
    found.append(digest())
    file.rename(file.with_name("other.png"))
    found.append(digest())
    assert len(set(found)) == 5
    assert digest() == found[-1]
