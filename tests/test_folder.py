from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxnext.data.packing.plan import find_splits
from jaxnext.data.sources.folder import Source
from jaxnext.data.splits import OpenContext, Splits
from jaxnext.errors import JaxnextError, UsageError


def write(root: Path, *names: str) -> Path:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    return root


def opened(path: Path | str | None, index: Path | None = None, **context: Any) -> Splits:
    return Source().open(OpenContext(None if path is None else str(path), index=index, **context))


def test_splits_with_val_folder(tmp_path: Path) -> None:
    write(tmp_path, "train/10/a.png", "train/2/a.png", "train/2/b.png", "train/2/b.txt", "val/2/c.png", "test/2/d.png")
    splits = opened(tmp_path)
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
        opened(tmp_path)


def test_splits_without_val_folder(tmp_path: Path) -> None:
    write(tmp_path, *(f"train/a/{i}.png" for i in range(10)), "train/b/1.png", "train/b/2.png", "train/c/1.png")
    splits = opened(tmp_path, seed=3)
    assert np.bincount(splits.train.labels).tolist() == [8, 1, 1]
    assert np.bincount(splits.validation.labels).tolist() == [2, 1]
    assert sorted([*splits.train.names, *splits.validation.names]) == sorted(
        path.relative_to(tmp_path / "train").as_posix() for path in (tmp_path / "train").rglob("*.png")
    )
    assert splits.description == (
        f"{tmp_path}/train: 13 images of 3 classes, 10 for training and 3 (20 % of each class, seed 3) for validation",
        f"{tmp_path}/train: a single image, which stays in training, in classes: c",
    )


def test_a_file_is_named_with_its_setting(tmp_path: Path) -> None:
    write(tmp_path, "images.zip")
    with pytest.raises(JaxnextError) as error:
        opened(tmp_path / "images.zip")
    assert str(error.value) == (f"data.path {tmp_path}/images.zip: expected the folder that holds train/, found a file")


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    write(tmp_path, "train/a/1.png", "train/a/2.png", "test/a/3.png", "masks/x/1.png", "labels.csv", ".git/config")
    splits = opened(tmp_path)
    assert splits.description[-1] == f"{tmp_path}: left out masks/, labels.csv, .git/"
    write(tmp_path, "val/a/4.png")
    assert opened(tmp_path).description[-1] == splits.description[-1]


def test_a_folder_that_looks_like_the_validation_images(tmp_path: Path) -> None:
    write(tmp_path, "train/a/1.png", "train/b/2.png", "train/b/3.png", "validation/b/4.png")
    for read in (lambda: opened(tmp_path), lambda: find_splits(tmp_path)):
        with pytest.raises(JaxnextError) as error:
            read()
        assert str(error.value) == (
            f"{tmp_path}: expected val/ beside train/, or no other folder with the same classes, found validation/; "
            "did you mean val/? rename it, or move it away to have part of train/ held out"
        )
    write(tmp_path, "val/b/4.png")
    assert opened(tmp_path).description[-1] == f"{tmp_path}: left out validation/"
    assert sorted(find_splits(tmp_path)[0]) == ["train", "validation"]


def test_splits_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.path: expected the folder that holds train/, found null"):
        opened(None)
    with pytest.raises(
        JaxnextError, match=r"^data\.path .*nowhere: no such folder; give the one that holds train/ with --data\.path"
    ):
        opened(tmp_path / "nowhere")
    with pytest.raises(
        JaxnextError, match=r"expected train/ with a folder for each class in it, found an empty folder"
    ):
        opened(tmp_path)
    write(tmp_path, "cat/1.png", "dog/1.png", "list.csv")
    with pytest.raises(JaxnextError, match=r"class in it, found cat/, dog/, list\.csv"):
        opened(tmp_path)
    write(tmp_path, "train/cat/1.png", "train/dog/1.png")
    with pytest.raises(JaxnextError, match="no class has two images"):
        opened(tmp_path)


def test_listings_are_kept_and_what_cannot_be_kept_is_said(tmp_path: Path) -> None:
    root = write(tmp_path / "images", "train/a/1.png", "train/b/1.png", "val/a/2.png")
    plain = opened(root)
    kept = opened(root, tmp_path / "index")
    again = opened(root, tmp_path / "index")
    for splits in (kept, again):
        assert (splits.train.names, splits.validation.names) == (plain.train.names, plain.validation.names)
        assert (splits.description, splits.warnings) == (plain.description, ())
    assert plain.warnings == ()
    (tmp_path / "file").touch()
    warned = opened(root, tmp_path / "file")
    assert warned.train.names == plain.train.names


def test_a_change_is_seen_through_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jaxnext.data.folder_index._TICK_NS", -10_000_000_000)
    root = write(tmp_path / "images", "train/a/1.png", "train/b/1.png", "val/a/2.png")
    opened(root, tmp_path / "index")
    assert len(list((tmp_path / "index").iterdir())) == 2
    write(root, "train/a/0.png", "val/b/3.png")
    splits = opened(root, tmp_path / "index")
    assert splits.train.names == ("a/0.png", "a/1.png", "b/1.png")
    assert splits.validation.names == ("a/2.png", "b/3.png")
    (tmp_path / "file").touch()
    write(root, "train/a/00.png")
    warned = opened(root, tmp_path / "file")
    assert len(warned.warnings) == 2
    assert warned.warnings[0].startswith(f"warning: {tmp_path}/file/")


def test_a_folder_of_images_is_local() -> None:
    with pytest.raises(UsageError) as caught:
        opened("gs://bucket/data")
    assert str(caught.value) == (
        "data.path: expected a local folder of images, found gs://bucket/data; in a bucket only packed ones are read, "
        "with --data.source tfds"
    )
