from pathlib import Path
from typing import Any

import pytest
from packed_images import write_folder
from square import square

from jaxnext.data.bad_image import BadImage
from jaxnext.data.packing.plan import Shard, find_splits, plan_shards
from jaxnext.data.packing.shards import ShardReport, features_of, pack_shard
from jaxnext.data.splits import OpenContext
from jaxnext.errors import JaxnextError


@pytest.fixture
def shard(tmp_path: Path) -> Shard:
    root = write_folder(tmp_path / "x", {"train": 2})
    sources = find_splits(OpenContext(str(root), hold_out=False))[0]
    return plan_shards("x", sources, None)[0]


def pack(path: Path, shard: Shard, threads: int = 2) -> tuple[ShardReport, int, list[BadImage]]:
    counts: list[int] = []
    corrupt: list[BadImage] = []
    report = pack_shard(path, shard, threads, counts.append, corrupt.append)
    return report, sum(counts), corrupt


def test_a_shard(shard: Shard, tmp_path: Path) -> None:
    report, count, corrupt = pack(tmp_path / "shard", shard)
    assert (report.images, report.corrupt, report.reused, count, corrupt) == (6, [], False, 6, [])
    assert (tmp_path / "shard").stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shard", "x"]
    assert report.sha256 == pack(tmp_path / "again", shard, threads=1)[0].sha256


def test_files_that_vanish_or_cannot_be_decoded_are_named(shard: Shard, tmp_path: Path) -> None:
    Path(shard.source.location(1)).unlink()
    Path(shard.source.location(4)).write_bytes(b"")
    report, count, corrupt = pack(tmp_path / "shard", shard)
    assert (report.images, count) == (4, 6)
    assert (
        corrupt
        == report.corrupt
        == [
            BadImage(shard.source.location(1), "No such file or directory"),
            BadImage(shard.source.location(4), "the file is empty"),
        ]
    )


class Writer:
    def __init__(self, fails: str | None) -> None:
        self.fails = fails

    def write(self, record: bytes) -> None:
        if self.fails:
            raise RuntimeError(self.fails)

    def close(self) -> None:
        pass


class Reader:
    def num_records(self) -> int:
        return 5

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("fails", "why"), [("write() failed:\nno space", "write() failed: no space"), (None, "of 6 images 5 are in it")]
)
def test_a_shard_that_cannot_be_written(
    shard: Shard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str | None, why: str
) -> None:
    module: Any = "array_record.python.array_record_module"
    monkeypatch.setattr(f"{module}.ArrayRecordWriter", lambda *_: Writer(fails))
    monkeypatch.setattr(f"{module}.ArrayRecordReader", lambda *_: Reader())
    with pytest.raises(JaxnextError) as caught:
        pack(tmp_path / "shard", shard)
    assert str(caught.value) == f"{tmp_path}/shard: the shard cannot be written ({why})"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_features() -> None:
    files = features_of(("a", "b"), None)
    assert sorted(files) == ["file_name", "image", "label"]
    assert files["image"].shape == (None, None, 3)
    assert files["label"].names == ["a", "b"]
    resized = features_of(("a",), square(24))["image"]
    assert (resized.shape, resized.encoding_format) == ((24, 24, 3), "png")
