"""A disk that refuses to write below one folder: full, broken, read only, over quota, or gone."""

import builtins
import contextlib
import errno
import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

FAULTS = {
    "ENOSPC": "No space left on device",
    "EIO": "Input/output error",
    "EROFS": "Read-only file system",
    "EDQUOT": "Disk quota exceeded",
}
"""What the system says of each."""

_NEVER_BEFORE_WRITING = ("ENOSPC", "EIO", "EDQUOT")
"""These let a file be opened, and fail at its first byte; EROFS refuses the opening."""


class _FullFile:
    """A file that is open for writing and takes no byte. A library may ask for its descriptor: it has none."""

    def __init__(self, file: Any, error: OSError) -> None:
        self._file, self._error = file, error
        self.name, self.closed = file.name, False

    def write(self, data: Any) -> int:
        raise self._error

    def writelines(self, lines: Any) -> None:
        raise self._error

    def truncate(self, size: int | None = None) -> int:
        raise self._error

    def __getattr__(self, name: str) -> Any:
        if name in ("fileno", "buffer", "raw"):
            raise AttributeError(name)
        return getattr(self._file, name)

    def __enter__(self) -> "_FullFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self.closed = True
