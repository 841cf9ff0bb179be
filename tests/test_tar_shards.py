import io
import tarfile
from pathlib import Path

import pytest

from jaxnext.data.tar_shards import find_shards, shard_source
from jaxnext.errors import JaxnextError, UsageError


def shard(path: Path, **files: bytes | str) -> Path:
    """A shard; two underscores of a name stand for the dot."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as file:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name.replace("__", ".").replace("_", "/"))
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


def test_examples_of_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shard(
        tmp_path / "x.tar",
        **{"b__jpg": b"B", "b__cls": "dog\n", "b__json": '{"id": 7}', "a_1__cls": "01", "a_1__png": b"A", "c__txt": ""},
        **{"a_1__json": '{"id": 10}'},
    )
    source, lines = shard_source(path, "cls", tmp_path / "kept")
    assert (source.names, source.classes, source.labels.tolist()) == (("b.jpg", "a/1.png"), ("01", "dog"), [1, 0])
    assert [source.read(0), source.read(1)] == [b"B", b"A"]
    assert source.location(1) == f"{path}/a/1.png"
    assert lines == []
    monkeypatch.setattr(tarfile, "open", None)
    again, _ = shard_source(path, "cls", tmp_path / "kept")
    assert (again.names, again.labels.tolist()) == (source.names, source.labels.tolist())
    assert shard_source(path, "json:id", tmp_path / "kept")[0].classes == ("10", "7")


@pytest.mark.parametrize(
    ("files", "label", "said"),
    [
        (
            {"a__jpg": "", "a__cls": "", "b__jpg": ""},
            "cls",
            "found none beside 1 of 2: b.jpg; there are files with",
        ),
        ({"a__jpg": "", "a__cls": " "}, "cls", "expected a label of one line or a whole number in 'a.cls', found ''"),
        ({"a__jpg": "", "a__cls": b"\xff"}, "cls", r"expected a label \(cls\) in 'a.cls', found another content"),
        ({"a__jpg": "", "a__json": "[]"}, "json:x", r"expected a label \(json:x\) in 'a.json', found another content"),
        ({"a__jpg": "", "a__json": '{"x": 1.5}'}, "json:x", "or a whole number in 'a.json', found 1.5"),
        (
            {"a__jpg": "", "a__png": "", "a__cls": "1"},
            "cls",
            "one image in an example, found 'a.jpg' and 'a.png'",
        ),
        ({"a__cls": "1"}, "cls", "expected images in the shard, found none among its 1 files"),
    ],
)
def test_shards_that_are_not_as_expected(tmp_path: Path, files: dict, label: str, said: str) -> None:
    with pytest.raises(JaxnextError, match=said):
        shard_source(shard(tmp_path / "x.tar", **files), label)


@pytest.mark.parametrize(
    ("names", "train", "validation"),
    [
        (["train-0.tar", "train-1.tar", "val-0.tar", "test-0.tar", "other.tar"], [0, 1], [2]),
        (["Train/0.tar", "validation/0.tar"], [0], [1]),
        (["a-0.tar", "a-1.tar"], [0, 1], []),
        (["trainer.tar", "valley.tar"], [0, 1], []),
    ],
)
def test_which_shards(tmp_path: Path, names: list[str], train: list[int], validation: list[int]) -> None:
    paths = [shard(tmp_path / name) for name in names]
    found = find_shards([str(tmp_path)], None, None)
    assert found.train == [paths[i] for i in train]
    assert found.validation == [paths[i] for i in validation]
    assert sorted([*found.train, *found.validation, *found.left_out]) == sorted(paths)


def test_patterns(tmp_path: Path) -> None:
    paths = [shard(tmp_path / name) for name in ("a-0.tar", "a-1.tar", "b-0.tar")]
    assert find_shards([str(tmp_path)], "a-*.tar", "b-*.tar") == (paths[:2], paths[2:], [])
    with pytest.raises(UsageError, match=r"data\.source\.validation: expected a pattern of shards in .*like 'c-\*'"):
        find_shards([str(tmp_path)], None, "c-*")
    (tmp_path / "empty").mkdir()
    with pytest.raises(JaxnextError, match=r"expected \.tar shards, found none"):
        find_shards([str(tmp_path / "empty")], None, None)
    shard(tmp_path / "only" / "val-0.tar")
    with pytest.raises(JaxnextError, match=r"expected shards for training, found val-0\.tar"):
        find_shards([str(tmp_path / "only")], None, None)
