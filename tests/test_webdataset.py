from pathlib import Path

import pytest
from test_tar_shards import shard

from jaxnext.data.sources.webdataset import Source
from jaxnext.data.splits import OpenContext
from jaxnext.errors import JaxnextError, UsageError


def test_shards_for_training_and_validation(tmp_path: Path) -> None:
    shard(tmp_path / "train-0.tar", a__jpg="A", a__cls="dog", b__jpg="B", b__cls="cat")
    shard(tmp_path / "train-1.tar", a__jpg="C", a__cls="cat", b__jpg="D", b__cls="emu")
    shard(tmp_path / "val-0.tar", a__jpg="E", a__cls="emu")
    shard(tmp_path / "more.tar")
    splits = Source().open(OpenContext(str(tmp_path)))
    assert splits.classes == ("cat", "dog", "emu")
    assert [splits.train.read(i) for i in range(4)] == [b"B", b"C", b"A", b"D"]
    assert splits.train.labels.tolist() == [0, 0, 1, 2]
    assert (splits.validation.labels.tolist(), splits.validation.classes) == ([2], splits.classes)
    assert splits.description == (
        f"{tmp_path}: 2 shards: 4 images of 3 classes for training; 1 shards: 1 for validation",
        "1 shards: no images of 2 of the classes: cat, dog",
        f"{tmp_path}: left out more.tar",
    )
    shard(tmp_path / "val-0.tar", a__jpg="E", a__cls="eel")
    with pytest.raises(JaxnextError, match=r"val-0\.tar: expected labels that training images have, found eel"):
        Source().open(OpenContext(str(tmp_path)))


def test_some_are_held_out(tmp_path: Path) -> None:
    path = shard(tmp_path / "x.tar", **{f"{i}__{kind}": "1" for i in range(10) for kind in ("jpg", "cls")})
    splits = Source().open(OpenContext(str(path)))
    assert (len(splits.train), len(splits.validation)) == (8, 2)
    with pytest.raises(UsageError, match=r"data\.path: expected the folder of \.tar shards, found null"):
        Source().open(OpenContext())
