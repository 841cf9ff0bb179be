from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tfds_sets import F, example, two_shards, write_set

from jaxnext.data.sources.tfds import Source
from jaxnext.data.splits import OpenContext, Splits
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.file_digests import write_sums


def opened(folder: Path, index: Path | None = None, seed: int = 0, **options: Any) -> Splits:
    return Source(**options).open(OpenContext(str(folder), seed=seed, index=index))


def test_splits_of_a_tfds_data_set(tmp_path: Path) -> None:
    folder = write_set(tmp_path, {"train": two_shards(8), "validation": two_shards(2, 8), "test": two_shards(4, 10)})
    splits = opened(folder)
    assert splits.classes == ("cat", "dog")
    assert splits.train.names == tuple(f"{i}.jpg" for i in range(8))
    assert splits.validation.names == ("8.jpg", "9.jpg")
    assert splits.description == (f"{folder} train: 8 images of 2 classes for training; validation: 2 for validation",)
    named = Source("pets", "train[:50%]", "train[75%:]").open(OpenContext(tfds_folder=str(tmp_path)))
    assert named.train.names == ("0.jpg", "1.jpg", "2.jpg", "3.jpg")
    assert named.validation.names == ("6.jpg", "7.jpg")
    with pytest.raises(
        UsageError, match=r"data\.source\.val_split: expected other images than those of data\.source\.train_split"
    ):
        opened(folder, val_split="train[:1]")
    with pytest.raises(UsageError, match=r"data\.source\.val_split: expected one of the splits test, train, val"):
        opened(folder, val_split="valid")


def test_test_is_never_taken_for_validation(tmp_path: Path) -> None:
    folder = write_set(tmp_path, {"train": two_shards(20), "test": two_shards(4, 20)})
    splits = opened(folder, seed=3)
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
    splits = opened(folder, train_split="train[:4]")
    assert splits.description == (
        f"{folder} train[:4]: 4 images of 3 classes for training; val: 1 for validation",
        "val: no images of 2 of the classes: a, c",
        f"{folder} train[:4]: no images of 1 of the classes: b",
    )
    with pytest.raises(JaxnextError) as caught:
        opened(write_set(tmp_path, {"train": two_shards(2)}, name="single"))
    assert str(caught.value) == (
        f"{tmp_path}/single/1.0.0 train: no class has two images, so that none can be held out for validation; name a "
        "split with --data.source.val_split"
    )


def test_tfds_labels_are_kept(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "sets", {"train": two_shards(8), "val": two_shards(2, 8)})
    for _ in range(2):
        splits = opened(folder, tmp_path / "index")
        assert (len(splits.train), len(splits.validation), splits.warnings) == (8, 2, ())
    assert len(list((tmp_path / "index").iterdir())) == 2


def test_a_file_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "images.zip").touch()
    with pytest.raises(JaxnextError) as error:
        opened(tmp_path / "images.zip")
    assert str(error.value).startswith(f"data.path {tmp_path}/images.zip: no such folder; ")


def test_metadata_that_are_not_what_was_packed(tmp_path: Path) -> None:
    folder = write_set(tmp_path, {"train": two_shards(8), "validation": two_shards(2, 8)})
    # Shards are read on request.
    write_sums(folder, {file.name: 64 * "0" for file in folder.iterdir() if "array_record" in file.name})
    assert len(opened(folder).train) == 8
    file = folder / "features.json"
    file.write_text(file.read_text() + " ")
    with pytest.raises(JaxnextError) as error:
        opened(folder)
    assert str(error.value).startswith(f"{file}: expected the SHA-256 ")
    assert str(error.value).endswith(
        "; copy it again or pack the data set again, or delete SHA256SUMS beside it where you have changed it yourself"
    )
