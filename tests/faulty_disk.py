"""A disk that refuses to write below one folder: full, broken, read only, over quota, or gone."""

import builtins
import contextlib
import errno
import io
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

SAID = {
    "ENOSPC": "No space left on device",
    "EIO": "Input/output error",
    "EROFS": "Read-only file system",
    "EDQUOT": "Disk quota exceeded",
    "gone": "No such file or directory",
}
"""Faults, and what the system says of each; ``gone``: somebody removes the folder just before."""

_NAMES = ("mkdir", "replace", "rename", "link", "symlink", "truncate", "unlink", "remove", "rmdir")
_ENTRIES = ("mkdir", "link", "symlink")
"""Of them, those that need room on a disk."""


class _Refuses:
    """A file that is open for writing and takes no byte; it is flushed before a library writes to its descriptor."""

    def __init__(self, file: Any, refuse: Callable[[], NoReturn]) -> None:
        self._file, self._refuse = file, refuse
        self.name = file.name

    def write(self, data: Any) -> NoReturn:
        self._refuse()

    def flush(self) -> NoReturn:
        self._refuse()

    truncate = write

    def __getattr__(self, name: str) -> Any:
        if name in ("buffer", "raw"):
            raise AttributeError(name)
        return getattr(self._file, name)

    def __enter__(self) -> "_Refuses":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class Disk:
    """Refuses what is written below a folder, from some operation on.

    Attributes:
        refused: how often it has.
    """

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path, fault: str, after: int = 0) -> None:
        """Take over.

        Args:
            patch: which puts the system's functions back.
            folder: below which nothing is written.
            fault: a key of ``SAID``.
            after: operations that go well before.
        """
        self.folder, self.fault, self.after, self.refused = folder, fault, after, 0
        for name in _NAMES:
            patch.setattr(os, name, self._operation(getattr(os, name), name))
        for place, name in ((io, "open"), (builtins, "open")):
            patch.setattr(place, name, self._opens(getattr(place, name)))
        patch.setattr(os, "open", self._opens_descriptor(os.open))
        for name in ("write", "pwrite", "fsync", "ftruncate"):
            patch.setattr(os, name, self._by_descriptor(getattr(os, name), name))

    def _is_in(self, path: Any) -> bool:
        text = os.fspath(path) if isinstance(path, str | os.PathLike) else ""
        return f"{text}/".startswith(f"{self.folder}/")

    def _begins(self) -> bool:
        """Count an operation; return whether the disk has its fault by now."""
        self.after -= 1
        return self.after < 0

    def _refuse(self, path: Any) -> NoReturn:
        self.refused += 1
        number = getattr(errno, self.fault)
        raise OSError(number, os.strerror(number), str(path))

    def _remove(self) -> None:
        """Remove the folder, once."""
        if not self.refused:
            self.refused = 1
            shutil.rmtree(self.folder, ignore_errors=True)

    def _operation(self, real: Any, name: str) -> Any:
        # A full disk gives names to what is there; what a broken one has is taken away.
        concerned = name in {"EROFS": _NAMES, "gone": (), "EIO": _NAMES[:-3]}.get(self.fault, _ENTRIES)

        def operation(*arguments: Any, **options: Any) -> Any:
            there = name == "mkdir" and os.path.isdir(arguments[0])  # noqa: PTH112
            if concerned and not there and any(map(self._is_in, arguments[:2])) and self._begins():
                self._refuse(arguments[0])
            return real(*arguments, **options)

        return operation

    def _opens(self, real: Any) -> Any:
        def opens(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if not (set(mode) & set("wax+") and self._is_in(file) and self._begins()):
                return real(file, mode, *arguments, **options)
            if self.fault == "EROFS":
                self._refuse(file)
            opened = real(file, mode, *arguments, **options)
            if self.fault == "gone":
                self._remove()
                return opened
            return _Refuses(opened, lambda: self._refuse(file))

        return opens

    def _opens_descriptor(self, real: Any) -> Any:
        def opens(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if flags & os.O_CREAT and self._is_in(path) and self.fault == "EROFS" and self._begins():
                self._refuse(path)
            return real(path, flags, *arguments, **options)

        return opens

    def _by_descriptor(self, real: Any, name: str) -> Any:
        concerned = self.fault not in ("gone", "EROFS") and (name != "fsync" or self.fault == "EIO")

        def writes(descriptor: Any, *arguments: Any) -> Any:
            if concerned:
                number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
                path = str(Path(f"/proc/self/fd/{number}").readlink())
                if self._is_in(path) and self._begins():
                    self._refuse(path)
            return real(descriptor, *arguments)

        return writes


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Have a disk of so many bytes at an empty folder; skips the test where that is not allowed."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"needs leave to mount a small disk: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def contents(folder: Path) -> dict[str, bytes | None]:
    """Return every file below a folder with its bytes, and every folder with nothing."""
    if not folder.exists():
        return {}
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }
