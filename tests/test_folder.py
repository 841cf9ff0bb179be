from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layouts import archived

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


def opened(path: Path | str | tuple[str, ...] | None, index: Path | None = None, **context: Any) -> Splits:
    return Source().open(OpenContext(str(path) if isinstance(path, Path) else path, index=index, **context))


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
    write(tmp_path, "images.rar")
    with pytest.raises(JaxnextError) as error:
        opened(tmp_path / "images.rar")
    assert str(error.value) == (
        f"data.path {tmp_path}/images.rar: expected the folder that holds train/, or a .zip or .tar file, found another"
    )


@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev", "VAL", "Validation"])
def test_names_of_the_validation_folder(tmp_path: Path, name: str) -> None:
    write(tmp_path, "Train/a/1.png", "Train/b/2.png", f"{name}/b/4.png")
    splits = opened(tmp_path)
    assert (splits.train.names, splits.validation.names) == (("a/1.png", "b/2.png"), ("b/4.png",))
    assert sorted(find_splits(OpenContext(str(tmp_path), hold_out=False))[0]) == ["train", "validation"]


def test_two_folders_that_could_be_meant(tmp_path: Path) -> None:
    write(tmp_path, "train/a/1.png", "Dev/a/4.png", "valiD/a/5.png")
    with pytest.raises(JaxnextError, match="expected one folder val/, found Dev/, valiD/"):
        opened(tmp_path)


def test_a_flat_folder_of_class_folders(tmp_path: Path) -> None:
    write(tmp_path / "flat", *(f"{name}/{i}.png" for name in "ab" for i in range(5)), "notes.txt")
    write(tmp_path / "deep", *(f"train/{name}/{i}.png" for name in "ab" for i in range(5)))
    flat, deep = opened(tmp_path / "flat", seed=3), opened(tmp_path / "deep", seed=3)
    assert (flat.train.names, flat.validation.names) == (deep.train.names, deep.validation.names)
    assert len(flat.train) == 8
    assert flat.description == (
        f"{tmp_path}/flat: 10 images of 2 classes, 8 for training and 2 (20 % of each class, seed 3) for validation",
        f"{tmp_path}/flat: left out 1 entry that is hidden or no image (.txt 1)",
    )


def test_several_folders(tmp_path: Path) -> None:
    write(tmp_path, "one/train/a/1.png", "one/train/c/2.png", "one/val/c/3.png", "two/b/1.png", "two/c/1.png")
    splits = opened((str(tmp_path / "two"), str(tmp_path / "one")))
    assert splits.classes == ("a", "b", "c")
    assert splits.train.names == ("a/1.png", "b/1.png", "c/1.png", "c/2.png")
    assert splits.train.labels.tolist() == [0, 1, 2, 2]
    assert [splits.train.read(i) for i in (0, 2)] == [b"one/train/a/1.png", b"two/c/1.png"]
    assert splits.train.location(2) == f"{tmp_path}/two/c/1.png"
    assert splits.validation.names == ("c/3.png",)
    assert (splits.validation.labels.tolist(), splits.validation.classes) == ([2], splits.classes)
    assert splits.description[0] == (
        f"{tmp_path}/two and {tmp_path}/one/train: 4 images of 3 classes for training; {tmp_path}/one/val: 1 for "
        "validation"
    )
    write(tmp_path, "three/C/1.png", "three/a/1.png")
    with pytest.raises(
        JaxnextError, match=r"expected the same names for the same classes, found 'C' in .*three and 'c'"
    ):
        opened((str(tmp_path / "one"), str(tmp_path / "three")))
    with pytest.raises(UsageError, match=r"data\.path: expected each folder once, found .*one twice"):
        opened((str(tmp_path / "one"), str(tmp_path / "two/../one")))


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
@pytest.mark.parametrize("beginning", ["", "clothes/"])
def test_an_archive_is_as_its_folder(tmp_path: Path, suffix: str, beginning: str) -> None:
    names = ["train/a/1.png", "train/b/2.png", "train/b/deep/3.png", "valid/b/4.png", "train/a/.x.png", "notes.txt"]
    root = write(tmp_path / "root", *(beginning + name for name in names)) / beginning
    archive = archived(tmp_path / f"images{suffix}", tmp_path / "root")
    plain, packed = opened(root), opened(archive, tmp_path / "index")
    assert packed.description == tuple(line.replace(str(root), str(archive / beginning)) for line in plain.description)
    for found, expected in ((packed.train, plain.train), (packed.validation, plain.validation)):
        assert found.names == expected.names
        assert found.labels.tolist() == expected.labels.tolist()
        assert [found.read(i) for i in range(len(found))] == [expected.read(i) for i in range(len(found))]
        assert found.location(0) == f"{archive / beginning}/{found_folder(found)}{found.names[0]}"
    again = opened(archive, tmp_path / "index")
    assert (again.train.names, again.warnings) == (packed.train.names, ())
    assert again.train.read(2) == plain.train.read(2)


def found_folder(source: Any) -> str:
    return "valid/" if len(source) == 1 else "train/"


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    write(tmp_path, "train/a/1.png", "train/a/2.png", "test/a/3.png", "masks/x/1.png", "labels.csv", ".git/config")
    splits = opened(tmp_path)
    assert splits.description[-1] == f"{tmp_path}: left out masks/, labels.csv, .git/"
    write(tmp_path, "val/a/4.png")
    assert opened(tmp_path).description[-1] == splits.description[-1]


def test_a_folder_that_looks_like_the_validation_images(tmp_path: Path) -> None:
    write(tmp_path, "train/a/1.png", "train/b/2.png", "train/b/3.png", "holdout/b/4.png")
    for read in (lambda: opened(tmp_path), lambda: find_splits(OpenContext(str(tmp_path), hold_out=False))):
        with pytest.raises(JaxnextError) as error:
            read()
        assert str(error.value) == (
            f"{tmp_path}: expected val/ beside train/, or no other folder with the same classes, found holdout/; "
            "did you mean val/? rename it, or move it away to have part of train/ held out"
        )
    write(tmp_path, "val/b/4.png")
    assert opened(tmp_path).description[-1] == f"{tmp_path}: left out holdout/"
    assert sorted(find_splits(OpenContext(str(tmp_path), hold_out=False))[0]) == ["train", "validation"]


def test_splits_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.path: expected the folder that holds train/, found null"):
        opened(None)
    with pytest.raises(
        JaxnextError, match=r"^data\.path .*nowhere: no such folder; give the one that holds train/ with --data\.path"
    ):
        opened(tmp_path / "nowhere")
    with pytest.raises(
        JaxnextError,
        match=r"expected train/ with a folder for each class in it, or a folder for each of two classes or more, found",
    ):
        opened(tmp_path)
    write(tmp_path, "1.png", "2.png", "list.csv")
    with pytest.raises(JaxnextError, match=r"found no folders and 2 images: 1\.png, 2\.png; read labels with --data"):
        opened(tmp_path)
    write(tmp_path / "x/cats", "cat/1.png")
    with pytest.raises(JaxnextError, match="two classes or more, found cat/"):
        opened(tmp_path / "x/cats")
    write(tmp_path / "x/cats", "Test/1.png")
    with pytest.raises(JaxnextError, match="expected train/ beside Test/, found none"):
        opened(tmp_path / "x/cats")
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
