import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from tfds_sets import F, example, two_shards, write_set

from jaxnext.config.sections import DataConfig
from jaxnext.data.packing.plan import find_splits
from jaxnext.data.splits import load_splits
from jaxnext.errors import JaxnextError, UsageError


def write(root: Path, *names: str) -> Path:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    return root


def test_splits_with_val_folder(tmp_path: Path) -> None:
    write(tmp_path, "train/10/a.png", "train/2/a.png", "train/2/b.png", "train/2/b.txt", "val/2/c.png", "test/2/d.png")
    splits = load_splits(DataConfig(path=str(tmp_path)), 0)
    assert splits.classes == ("10", "2")
    assert splits.train.names == ("10/a.png", "2/a.png", "2/b.png")
    assert splits.validation.names == ("2/c.png",)
    assert splits.validation.labels.tolist() == [1]
    assert splits.description == (
        f"{tmp_path}/train: 3 images of 2 classes for training; {tmp_path}/val: 1 for validation",
        f"{tmp_path}/val: no images of 1 of the classes: 10",
        f"{tmp_path}/train: left out 1 entry that is hidden or no image (.txt 1)",
    )
    write(tmp_path, "val/3/e.png")
    with pytest.raises(JaxnextError, match="val/3: expected one of the 2 classes 10, 2, found '3'"):
        load_splits(DataConfig(path=str(tmp_path)), 0)


def test_splits_without_val_folder(tmp_path: Path) -> None:
    write(tmp_path, *(f"train/a/{i}.png" for i in range(10)), "train/b/1.png", "train/b/2.png", "train/c/1.png")
    splits = load_splits(DataConfig(path=str(tmp_path)), 3)
    assert np.bincount(splits.train.labels).tolist() == [8, 1, 1]
    assert np.bincount(splits.validation.labels).tolist() == [2, 1]
    assert sorted([*splits.train.names, *splits.validation.names]) == sorted(
        path.relative_to(tmp_path / "train").as_posix() for path in (tmp_path / "train").rglob("*.png")
    )
    assert splits.description == (
        f"{tmp_path}/train: 13 images of 3 classes, 10 for training and 3 (20 % of each class, seed 3) for validation",
        f"{tmp_path}/train: a single image, which stays in training, in classes: c",
    )


@pytest.mark.parametrize("source", ["folder", "tfds"])
def test_a_file_is_named_with_its_setting(tmp_path: Path, source: Literal["folder", "tfds"]) -> None:
    write(tmp_path, "images.zip")
    with pytest.raises(JaxnextError) as error:
        load_splits(DataConfig(source=source, path=f"{tmp_path}/images.zip"), 0)
    what = {"folder": "expected the folder that holds train/, found a file", "tfds": "no such folder; "}
    assert str(error.value).startswith(f"data.path {tmp_path}/images.zip: {what[source]}")


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    write(tmp_path, "train/a/1.png", "train/a/2.png", "test/a/3.png", "masks/x/1.png", "labels.csv", ".git/config")
    splits = load_splits(DataConfig(path=str(tmp_path)), 0)
    assert splits.description[-1] == f"{tmp_path}: left out masks/, labels.csv, .git/"
    write(tmp_path, "val/a/4.png")
    assert load_splits(DataConfig(path=str(tmp_path)), 0).description[-1] == splits.description[-1]


def test_a_folder_that_looks_like_the_validation_images(tmp_path: Path) -> None:
    write(tmp_path, "train/a/1.png", "train/b/2.png", "train/b/3.png", "validation/b/4.png")
    for read in (lambda: load_splits(DataConfig(path=str(tmp_path)), 0), lambda: find_splits(tmp_path)):
        with pytest.raises(JaxnextError) as error:
            read()
        assert str(error.value) == (
            f"{tmp_path}: expected val/ beside train/, or no other folder with the same classes, found validation/; "
            "did you mean val/? rename it, or move it away to have part of train/ held out"
        )
    write(tmp_path, "val/b/4.png")
    assert load_splits(DataConfig(path=str(tmp_path)), 0).description[-1] == f"{tmp_path}: left out validation/"
    assert sorted(find_splits(tmp_path)[0]) == ["train", "validation"]


def test_splits_of_digits() -> None:
    splits = load_splits(DataConfig(source="digits"), 0)
    assert len(splits.train) + len(splits.validation) == 1797
    assert not set(splits.train.names) & set(splits.validation.names)
    assert splits.description == (
        f"digits: 1,797 images of 10 classes, {len(splits.train):,} for training and {len(splits.validation)} "
        "(20 % of each class, seed 0) for validation",
    )


def test_splits_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.path: expected the folder that holds train/, found null"):
        load_splits(DataConfig(), 0)
    with pytest.raises(
        JaxnextError, match=r"^data\.path .*nowhere: no such folder; give the one that holds train/ with --data\.path"
    ):
        load_splits(DataConfig(path=str(tmp_path / "nowhere")), 0)
    with pytest.raises(
        JaxnextError, match=r"expected train/ with a folder for each class in it, found an empty folder"
    ):
        load_splits(DataConfig(path=str(tmp_path)), 0)
    write(tmp_path, "cat/1.png", "dog/1.png", "list.csv")
    with pytest.raises(JaxnextError, match=r"class in it, found cat/, dog/, list\.csv"):
        load_splits(DataConfig(path=str(tmp_path)), 0)
    write(tmp_path, "train/cat/1.png", "train/dog/1.png")
    with pytest.raises(JaxnextError, match="no class has two images"):
        load_splits(DataConfig(path=str(tmp_path)), 0)


@pytest.mark.parametrize(
    ("source", "name", "value", "other"),
    [
        ("digits", "path", "my images", "folder"),
        ("digits", "train_split", "train[:80%]", "tfds"),
        ("digits", "val_split", "val", "tfds"),
        ("folder", "train_split", "test", "tfds"),
        ("folder", "val_split", "val", "tfds"),
    ],
)
def test_a_setting_that_the_source_does_not_read_is_refused(source: str, name: str, value: str, other: str) -> None:
    with pytest.raises(UsageError) as error:
        load_splits(dataclasses.replace(DataConfig(source=source), **{name: value}), 0)
    assert str(error.value) == (
        f"data.{name}: expected no value, since data.source {source} does not read it, found '{value}'; "
        f"leave it out, or set --data.source {other}"
    )


def test_listings_are_kept_and_what_cannot_be_kept_is_said(tmp_path: Path) -> None:
    root = write(tmp_path / "images", "train/a/1.png", "train/b/1.png", "val/a/2.png")
    data = DataConfig(path=str(root))
    plain = load_splits(data, 0)
    kept = load_splits(data, 0, tmp_path / "index")
    again = load_splits(data, 0, tmp_path / "index")
    for splits in (kept, again):
        assert (splits.train.names, splits.validation.names) == (plain.train.names, plain.validation.names)
        assert (splits.description, splits.warnings) == (plain.description, ())
    assert plain.warnings == ()
    (tmp_path / "file").touch()
    warned = load_splits(data, 0, tmp_path / "file")
    assert warned.train.names == plain.train.names


def test_a_change_is_seen_through_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jaxnext.data.folder_index._TICK_NS", -10_000_000_000)
    root = write(tmp_path / "images", "train/a/1.png", "train/b/1.png", "val/a/2.png")
    data = DataConfig(path=str(root))
    load_splits(data, 0, tmp_path / "index")
    assert len(list((tmp_path / "index").iterdir())) == 2
    write(root, "train/a/0.png", "val/b/3.png")
    splits = load_splits(data, 0, tmp_path / "index")
    assert splits.train.names == ("a/0.png", "a/1.png", "b/1.png")
    assert splits.validation.names == ("a/2.png", "b/3.png")
    (tmp_path / "file").touch()
    write(root, "train/a/00.png")
    warned = load_splits(data, 0, tmp_path / "file")
    assert len(warned.warnings) == 2
    assert warned.warnings[0].startswith(f"warning: {tmp_path}/file/")


def test_splits_of_a_tfds_data_set(tmp_path: Path) -> None:
    folder = write_set(tmp_path, {"train": two_shards(8), "validation": two_shards(2, 8), "test": two_shards(4, 10)})
    splits = load_splits(DataConfig(source="tfds", path=str(folder)), 0)
    assert splits.classes == ("cat", "dog")
    assert splits.train.names == tuple(f"{i}.jpg" for i in range(8))
    assert splits.validation.names == ("8.jpg", "9.jpg")
    assert splits.description == (f"{folder} train: 8 images of 2 classes for training; validation: 2 for validation",)
    named = load_splits(
        DataConfig(source="tfds:pets", train_split="train[:50%]", val_split="train[75%:]"), 0, tfds_folder=tmp_path
    )
    assert named.train.names == ("0.jpg", "1.jpg", "2.jpg", "3.jpg")
    assert named.validation.names == ("6.jpg", "7.jpg")
    with pytest.raises(UsageError, match=r"data\.val_split: expected other images than those of data\.train_split"):
        load_splits(DataConfig(source="tfds", path=str(folder), val_split="train[:1]"), 0)
    with pytest.raises(UsageError, match=r"data\.val_split: expected one of the splits test, train, validation of"):
        load_splits(DataConfig(source="tfds", path=str(folder), val_split="valid"), 0)


def test_test_is_never_taken_for_validation(tmp_path: Path) -> None:
    folder = write_set(tmp_path, {"train": two_shards(20), "test": two_shards(4, 20)})
    splits = load_splits(DataConfig(source="tfds", path=str(folder)), 3)
    assert sorted([*splits.train.names, *splits.validation.names]) == sorted(f"{i}.jpg" for i in range(20))
    assert np.bincount(splits.validation.labels).tolist() == [2, 2]
    assert [splits.validation.read(i).decode() for i in range(4)] == [
        f"image {name.removesuffix('.jpg')}" for name in splits.validation.names
    ]
    assert splits.description == (
        f"{folder} train: 20 images of 2 classes, 16 for training and 4 (20 % of each class, seed 3) for validation",
    )


def test_unusual_tfds_splits_are_said(tmp_path: Path) -> None:
    shards = [[example(i, label) for i, label in enumerate((0, 0, 0, 2, 1))]]
    folder = write_set(
        tmp_path,
        {"train": shards, "val": two_shards(1, 9)},
        {"image": F.Image(), "label": F.ClassLabel(names=["a", "b", "c"]), "file_name": F.Text()},
    )
    splits = load_splits(DataConfig(source="tfds", path=str(folder), train_split="train[:4]"), 0)
    assert splits.description == (
        f"{folder} train[:4]: 4 images of 3 classes for training; val: 1 for validation",
        "val: no images of 2 of the classes: a, c",
        f"{folder} train[:4]: no images of 1 of the classes: b",
    )
    with pytest.raises(JaxnextError) as caught:
        load_splits(
            DataConfig(source="tfds", path=str(write_set(tmp_path, {"train": two_shards(2)}, name="single"))), 0
        )
    assert str(caught.value) == (
        f"{tmp_path}/single/1.0.0 train: no class has two images, so that none can be held out for validation; name a "
        "split with --data.val_split"
    )


def test_tfds_labels_are_kept(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "sets", {"train": two_shards(8), "val": two_shards(2, 8)})
    data = DataConfig(source="tfds", path=str(folder))
    for _ in range(2):
        splits = load_splits(data, 0, tmp_path / "index")
        assert (len(splits.train), len(splits.validation), splits.warnings) == (8, 2, ())
    assert len(list((tmp_path / "index").iterdir())) == 2


def test_a_folder_of_images_is_local() -> None:
    with pytest.raises(UsageError) as caught:
        load_splits(DataConfig(path="gs://bucket/data"), 0)
    assert str(caught.value) == (
        "data.path: expected a local folder of images, found gs://bucket/data; in a bucket only packed ones are read, "
        "with --data.source tfds"
    )
