"""What was in the folders of a data set when they were last listed, kept in a file for the next start.

A folder whose size and times are those of the file is not listed again. Its modification time changes with every entry
that is added, removed or renamed, its change time cannot be set back by whoever unpacks or copies files. What is in the
images is not asked here: they are read from their own files, and the decoded cache looks at the size and time of each.
"""

import itertools
import os
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
    """device, inode, size, modification time and change time in nanoseconds"""
    folder: Folder


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
        if known is None or known.status != _identity(status):
            return None
        self._found[under] = known
        return known.folder

    def add(self, under: str, status: os.stat_result, folder: Folder) -> None:
        """Notes what a folder holds, unless it has changed within the tick in which it was listed.

        Such a folder is listed again by the next start.

        Args:
            under: path relative to the root.
            status: of the folder, taken before it was listed.
            folder: what it holds.
        """
        if isinstance(self._now, int) and max(status.st_mtime_ns, status.st_ctime_ns) > self._now - _TICK_NS:
            return
        self._found[under] = _Known(_identity(status), folder)
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
            "status": np.array([entry.status for entry in known], np.uint64).reshape(-1, 5),
        } | {f"{name}_count": np.array(list(map(len, lists)), np.int64) for name, lists in kinds.items()}
        names = {name: itertools.chain.from_iterable(lists) for name, lists in kinds.items()}
        self._file.write(arrays, {"under": self._found, **names}, self.lines)


def _folders(arrays: dict[str, NDArray[Any]], names: dict[str, list[str]]) -> dict[str, _Known]:
    """The folders of an index file.

    Raises:
        ValueError, KeyError: its parts do not fit together, or some are missing.
    """
    under, status = names["under"], arrays["status"]
    columns = [_split(names[name], arrays[f"{name}_count"]) for name in Folder._fields]
    if status.shape != (len(under), 5) or any(len(column) != len(under) for column in columns):
        raise ValueError("its parts do not fit together")
    return {
        name: _Known(tuple(identity), Folder(*lists))
        for name, identity, lists in zip(under, status.tolist(), zip(*columns, strict=True), strict=True)
    }


def _split(names: list[str], counts: NDArray[np.int64]) -> list[list[str]]:
    ends = np.cumsum(counts).tolist()
    if (ends[-1] if ends else 0) != len(names):
        raise ValueError("its parts do not fit together")
    return [names[end - count : end] for end, count in zip(ends, counts.tolist(), strict=True)]


def _identity(status: os.stat_result) -> tuple[int, ...]:
    numbers = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    # Inodes of some file systems take all 64 bits, times before 1970 are negative.
    return tuple(number % 2**64 for number in numbers)
