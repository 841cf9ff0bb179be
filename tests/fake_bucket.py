"""A stand-in for Google's buckets: ``gs://`` paths whose files are in memory, for TFDS and for ``array_record``."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from array_record.python import array_record_module
from etils.epath import backend
from fsspec.implementations.memory import MemoryFileSystem


class Bucket(MemoryFileSystem):
    """As ``gcsfs`` shows one: no inodes, and no time of change."""

    protocol = ("gs", "gcs")
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012
    asked: list[str] = []  # noqa: RUF012
    """paths that ``info`` was asked about"""

    @classmethod
    def _strip_protocol(cls, path: Any) -> str:
        return "/" + str(path).removeprefix("gs://").strip("/")

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        self.asked.append(path)
        return super().info(path, **options)


def upload(monkeypatch: pytest.MonkeyPatch, folder: Path, place: str, scratch: Path) -> None:
    """Copies a folder to ``gs://...`` and has both libraries find it there until the test ends.

    ``array_record`` reads buckets in C++: a copy in ``scratch`` is opened in its stead.
    """
    for name, value in (("store", {}), ("pseudo_dirs", [""]), ("asked", [])):
        monkeypatch.setattr(Bucket, name, value)
    bucket: Any = Bucket(skip_instance_cache=True)
    monkeypatch.setattr(backend.fsspec_backend, "fs", lambda path: bucket)
    for path in folder.rglob("*"):
        if path.is_file():
            bucket.pipe_file(f"{place}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    reader, numbers = array_record_module.ArrayRecordReader, itertools.count()

    def open_copy(file: str, *arguments: Any, **options: Any) -> Any:
        if file.startswith("gs://"):
            copy = scratch / f"record_{next(numbers)}"
            copy.write_bytes(bucket.cat_file(file))
            file = str(copy)
        return reader(file, *arguments, **options)

    monkeypatch.setattr(array_record_module, "ArrayRecordReader", open_copy)
