"""What was in the folders of a data set when they were last listed, kept in a file for the next start.

A folder whose times are those of the file is not listed again. Its modification time changes with every entry that is
added, removed or renamed, its change time cannot be set back by whoever unpacks or copies files.
"""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxnext.data.index_file import IndexFile

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
            store: the folder of index files.
            root: the folder of class folders.
        """
        self.lines: list[str] = []
        """for the user: why the index was of no use, or could not be kept"""
        self._file = IndexFile(store, str(root.absolute()), f"listing of {root}")
        self._found: dict[str, _Known] = {}
        self._new = False
        self._now = self._file.time()
        self._known: dict[str, _Known] = {}
        kept = self._file.read(self.lines)
        if kept is not None:
            try:
                self._known = _folders(*kept)
            except (ValueError, KeyError) as error:
                self.lines.append(self._file.unusable(error))

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
        if isinstance(self._now, int) and max(status.st_mtime_ns, status.st_ctime_ns) > self._now - _TICK_NS:
            return
        self._found[under] = _Known(_times(status), folder, np.array(files, np.int64).reshape(-1, 2))
        self._new = True

    def save(self) -> None:
        """Writes the index where it has changed. Where that is not possible, ``lines`` says so."""
        if not (self._new or len(self._found) < len(self._known)):
            return
        if isinstance(self._now, OSError):
            self.lines.append(self._file.unwritable(self._now))
            return
        known = list(self._found.values())
        kinds = {name: [entry.folder[i] for entry in known] for i, name in enumerate(Folder._fields)}
        arrays = {
            "status": np.array([entry.status for entry in known], np.uint64).reshape(-1, 4),
            "files": np.concatenate([np.zeros((0, 2), np.int64), *(entry.files for entry in known)]),
        } | {f"{name}_count": np.array(list(map(len, lists)), np.int64) for name, lists in kinds.items()}
        names = {name: itertools.chain.from_iterable(lists) for name, lists in kinds.items()}
        self._file.write(arrays, {"under": self._found, **names}, self.lines)


def _folders(arrays: dict[str, NDArray[Any]], names: dict[str, list[str]]) -> dict[str, _Known]:
    """The folders of an index file.

    Raises:
        ValueError, KeyError: its parts do not fit together, or some are missing.
    """
    under, status, files = names["under"], arrays["status"], arrays["files"]
    columns = [_split(names[name], arrays[f"{name}_count"]) for name in Folder._fields]
    counts = [len(images) for images in columns[Folder._fields.index("images")]]
    if status.shape != (len(under), 4) or files.shape != (sum(counts), 2) or any(len(c) != len(under) for c in columns):
        raise ValueError("its parts do not fit together")
    parts = np.split(files, np.cumsum(counts, dtype=np.int64)[:-1]) if under else []
    return {
        name: _Known(tuple(times), Folder(*lists), part)
        for name, times, lists, part in zip(under, status.tolist(), zip(*columns, strict=True), parts, strict=True)
    }


def _split(names: list[str], counts: NDArray[np.int64]) -> list[list[str]]:
    ends = np.cumsum(counts).tolist()
    if (ends[-1] if ends else 0) != len(names):
        raise ValueError("its parts do not fit together")
    return [names[end - count : end] for end, count in zip(ends, counts.tolist(), strict=True)]


def _times(status: os.stat_result) -> tuple[int, ...]:
    numbers = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
    # Inodes of some file systems take all 64 bits, times before 1970 are negative.
    return tuple(number % 2**64 for number in numbers)
