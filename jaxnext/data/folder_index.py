"""What was in the folders of a data set when they were last listed, kept in a file for the next start.

A folder whose times are those of the file is not listed again. Its modification time changes with every entry that is
added, removed or renamed, its change time cannot be set back by whoever unpacks or copies files.
"""

import contextlib
import hashlib
import itertools
import os
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_FORMAT = 1
_TICK_NS = 2_000_000_000
"""The coarsest clock of a file system in use, FAT's. A change within the tick of the listing would go unnoticed."""


class Folder(NamedTuple):
    """The entries of one folder, by their names in it."""

    folders: list[str]
    """sorted; links to folders count"""
    images: list[str]
    """sorted"""
    left_out: list[str]
    """hidden entries, folders among these with a slash, and files that are not images"""


class _Known(NamedTuple):
    status: tuple[int, ...]
    """device, inode, modification time and change time in nanoseconds"""
    folder: Folder
    files: NDArray[np.int64]
    """``[images, 2]``: size in bytes and modification time in nanoseconds of each image when it was listed"""


class FolderIndex:
    """The index of the folders below one root. Its use is to open it, list the folders, save it.

    A missing, damaged or foreign index knows nothing, so that everything is listed anew.
    """

    def __init__(self, store: Path, root: Path) -> None:
        """Reads the index of ``root``.

        Args:
            store: the folder of index files, each named after its root.
            root: the folder of class folders.
        """
        self.lines: list[str] = []
        """for the user: why the index was of no use, or could not be kept"""
        self._root = str(root.absolute())
        self._file = store / f"{hashlib.sha256(os.fsencode(self._root)).hexdigest()[:32]}.npz"
        self._known: dict[str, _Known] = {}
        self._found: dict[str, _Known] = {}
        self._new = False
        self._error: OSError | None = None
        self._now = self._time()
        if self._file.exists():
            try:
                self._known = _read(self._file, self._root)
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
                reason = " ".join(str(error).split()) or type(error).__name__
                self.lines.append(f"{self._file}: the index of {root} cannot be used ({reason}); listed anew")

    def find(self, under: str, status: os.stat_result) -> Folder | None:
        """What the folder ``under`` held, or None where that is unknown or may have changed since."""
        known = self._known.get(under)
        if known is None or known.status != _times(status):
            return None
        self._found[under] = known
        return known.folder

    def add(self, under: str, status: os.stat_result, folder: Folder, files: Sequence[tuple[int, int]]) -> None:
        """Notes what a folder holds, unless it has changed within the tick in which it was listed.

        Such a folder is listed again by the next start.

        Args:
            under: path relative to the root.
            status: of the folder, taken before it was listed.
            folder: what it holds.
            files: size in bytes and modification time in nanoseconds of each image.
        """
        if self._now is not None and max(status.st_mtime_ns, status.st_ctime_ns) > self._now - _TICK_NS:
            return
        times = np.array(files, np.int64).reshape(-1, 2)
        self._found[under] = _Known(_times(status), folder, times)
        self._new = True

    def save(self) -> None:
        """Writes the index where it has changed. Where that is not possible, ``lines`` says so."""
        if not (self._new or len(self._found) < len(self._known)):
            return
        if self._error is not None:
            self._cannot_write(self._error)
            return
        beside = ""
        try:
            with tempfile.NamedTemporaryFile(dir=self._file.parent, suffix=".part", delete=False) as file:
                beside = file.name
                _write(file, self._root, self._found)
            Path(beside).replace(self._file)
        except OSError as error:
            self._cannot_write(error)
            if beside:
                with contextlib.suppress(OSError):
                    Path(beside).unlink()

    def _time(self) -> int | None:
        """The time at which listing begins, in nanoseconds, by the file system's clock; None: nothing can be written.

        Taken from a file made for it, as the process's clock is read by nobody in the package.
        """
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._file.parent) as file:
                return os.fstat(file.fileno()).st_mtime_ns
        except OSError as error:
            self._error = error
            return None

    def _cannot_write(self, error: OSError) -> None:
        self.lines.append(
            f"warning: {self._file}: the index of {self._root} cannot be written ({error.strerror or error}), so that "
            "the next start lists its files again"
        )


def _times(status: os.stat_result) -> tuple[int, ...]:
    numbers = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
    # Inodes of some file systems take all 64 bits, times before 1970 are negative.
    return tuple(number % 2**64 for number in numbers)


def _write(file: IO[bytes], root: str, folders: dict[str, _Known]) -> None:
    """Writes an index file: the names of each kind as one text, each ended by a zero, and their number in each folder.

    Loading a million of them then takes a fraction of a second.
    """
    known = list(folders.values())
    kinds = [[entry.folder[kind] for entry in known] for kind in range(len(Folder._fields))]
    arrays: dict[str, Any] = {
        "format": np.array(_FORMAT),
        "root": _packed([root]),
        "under": _packed(folders),
        "status": np.array([entry.status for entry in known], np.uint64).reshape(-1, 4),
        "files": np.concatenate([np.zeros((0, 2), np.int64), *(entry.files for entry in known)]),
    }
    for name, lists in zip(Folder._fields, kinds, strict=True):
        arrays[name] = _packed(itertools.chain.from_iterable(lists))
        arrays[f"{name}_count"] = np.array(list(map(len, lists)), np.int64)
    np.savez(file, **arrays)


def _read(file: Path, root: str) -> dict[str, _Known]:
    """The folders of an index file.

    Raises:
        ValueError: not an index of this format, or that of another root.
        OSError, KeyError, EOFError, zipfile.BadZipFile: damaged.
    """
    with np.load(file, allow_pickle=False) as arrays:
        if int(arrays["format"]) != _FORMAT or _unpacked(arrays["root"]) != [root]:
            raise ValueError("it is of another folder or another version")
        under, status, files = _unpacked(arrays["under"]), arrays["status"], arrays["files"]
        columns = [_split(_unpacked(arrays[name]), arrays[f"{name}_count"]) for name in Folder._fields]
    counts = [len(images) for images in columns[Folder._fields.index("images")]]
    if status.shape != (len(under), 4) or files.shape != (sum(counts), 2) or any(len(c) != len(under) for c in columns):
        raise ValueError("its parts do not fit together")
    ends = np.cumsum(counts, dtype=np.int64)[:-1]
    parts = np.split(files, ends) if under else []
    return {
        name: _Known(tuple(times), Folder(*lists), part)
        for name, times, lists, part in zip(under, status.tolist(), zip(*columns, strict=True), parts, strict=True)
    }


def _packed(names: Iterable[str]) -> NDArray[np.uint8]:
    return np.frombuffer(os.fsencode("".join(f"{name}\0" for name in names)), np.uint8)


def _unpacked(text: NDArray[np.uint8]) -> list[str]:
    return os.fsdecode(text.tobytes()).split("\0")[:-1]


def _split(names: list[str], counts: NDArray[np.int64]) -> list[list[str]]:
    ends = np.cumsum(counts).tolist()
    if ends and ends[-1] != len(names):
        raise ValueError("its parts do not fit together")
    return [names[end - count : end] for end, count in zip(ends, counts.tolist(), strict=True)]
