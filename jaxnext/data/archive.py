"""Images in a ``.zip`` or ``.tar`` file, read where they lie: nothing is unpacked."""

import copy
import dataclasses
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jaxnext.data.archive_index import DEFLATED, IN_TAR, Entries, index_archive
from jaxnext.data.file_tree import FileTree
from jaxnext.data.folder_index import Folder
from jaxnext.data.folder_source import FolderTree
from jaxnext.data.image_source import file_identity, stamp_of
from jaxnext.data.listing import is_image
from jaxnext.errors import JaxnextError

SUFFIXES = (".zip", ".tar")
_LOCAL_HEADER = 30


@dataclasses.dataclass(frozen=True, eq=False)
class ArchiveSource:
    """Image files in one archive."""

    archive: str
    """its path"""
    under: str
    """the folder in it that names are relative to, with a slash; empty: all of it"""
    places: NDArray[np.int64]
    """``[n, 4]``: of each image where it begins, its bytes in the archive, its own bytes, and how it is stored"""
    names: tuple[str, ...]
    labels: NDArray[np.int32]
    classes: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    """hidden entries and files that are not images, by their path; a folder ends in a slash"""
    in_memory = False

    def __len__(self) -> int:
        return len(self.names)

    def location(self, index: int) -> str:
        """Path of the archive and of the image in it."""
        return f"{self.archive}/{self.under}{self.names[index]}"

    def read(self, index: int) -> bytes:
        """Bytes of one image file; ``OSError`` where it cannot be read, or is not as the archive's directory says."""
        start, stored, size, method = self.places[index].tolist()
        with open(self.archive, "rb") as file:  # noqa: PTH123 - a Path takes longer to make
            file.seek(start)
            if method != IN_TAR:
                header = file.read(_LOCAL_HEADER)
                if header[:4] != b"PK\x03\x04" or len(header) < _LOCAL_HEADER:
                    raise OSError("the archive is damaged: there is no entry where its directory says")
                skip = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
                file.seek(skip, os.SEEK_CUR)
            data = file.read(stored)
        return _inflated(data, size) if method == DEFLATED else _whole(data, size)

    def stamp(self, index: int) -> int:
        """From inode, size and times of the archive, and the image's place in it; ``OSError`` where it is gone."""
        place = b"%d" % self.places[index, 0]
        return stamp_of(file_identity(os.stat(self.archive)) + place)  # noqa: PTH116


def _inflated(data: bytes, size: int) -> bytes:
    """The bytes of a deflated entry. Never more than the directory says are made, so that none fills the memory."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        found = inflater.decompress(data, size + 1)
    except zlib.error as error:
        raise OSError(f"its entry in the archive is damaged: {error}") from error
    return _whole(found, size)


def _whole(data: bytes, size: int) -> bytes:
    if len(data) != size:
        more = "more" if len(data) > size else f"{len(data):,}"
        raise OSError(f"its entry in the archive is damaged: expected {size:,} bytes, found {more}")
    return data


class ArchiveTree:
    """The folders and files of an archive."""

    def __init__(self, path: Path, store: Path | None = None) -> None:
        """Read the archive's directory.

        Args:
            path: of the archive.
            store: folder in which directories that take long to read are kept; None: nothing is kept.

        Raises:
            JaxnextError: as ``index_archive``.
        """
        self.archive, self.under = path, ""
        self.entries: Entries
        self.entries, self._lines = index_archive(path, store)
        self._places = dict(zip(self.entries.names, range(len(self.entries.names)), strict=True))
        self._folders = _folders(self.entries.names)

    @property
    def path(self) -> Path:
        """The archive's path and that of the folder in it."""
        return self.archive / self.under

    def list_folder(self) -> tuple[list[str], list[str], list[str]]:
        """Names in the folder: folders, files, and hidden ones of both kinds (folders among these with a slash)."""
        folder = self._folders.get(self.under.removesuffix("/"), _NOTHING)
        hidden = [name for name in folder.left_out if name.startswith((".", "__MACOSX/"))]
        files = [name for name in folder.left_out if name not in hidden]
        return folder.folders, sorted([*folder.images, *files]), hidden

    def list_images(self, under: str = "") -> tuple[list[str], list[str]]:
        """Images below a folder, sorted, and what was left out, as paths relative to the tree."""
        images: list[str] = []
        left_out: list[str] = []
        for below, folder in self._walk(under):
            images += [below + name for name in folder.images]
            left_out += [below + name for name in folder.left_out]
        return sorted(images), sorted(left_out)

    def _walk(self, under: str) -> Iterator[tuple[str, Folder]]:
        folder = self._folders.get((self.under + under).removesuffix("/"), _NOTHING)
        below = f"{under}/" if under else ""
        yield below, folder
        for name in folder.folders:
            yield from self._walk(below + name)

    def below(self, name: str, lines: Sequence[str] = ()) -> "ArchiveTree":
        """Return the tree of a folder in this one, which has ``lines`` for the user."""
        tree = copy.copy(self)
        tree.under, tree._lines = f"{self.under}{name}/", list(lines)
        return tree

    def source(
        self, names: Sequence[str], labels: NDArray[np.int32], classes: Sequence[str], left_out: Sequence[str] = ()
    ) -> ArchiveSource:
        """Return some of the images, as ``FileTree.source``."""
        numbers = [self._places[self.under + name] for name in names]
        places = self.entries.places[numbers]
        return ArchiveSource(
            str(self.archive), self.under, places, tuple(names), labels, tuple(classes), tuple(left_out)
        )

    def keep(self) -> list[str]:
        """Return lines for the user: why the directory could not be kept."""
        return self._lines


_NOTHING = Folder([], [], [])


def _folders(names: Sequence[str]) -> dict[str, Folder]:
    """What each folder of an archive holds, by its path; hidden folders are not entered."""
    folders: dict[str, Folder] = {"": Folder([], [], [])}
    seen: set[str] = {""}
    for name in names:
        parent, _, last = name.rpartition("/")
        if parent not in folders and not _enter(parent, folders, seen):
            continue
        folder = folders[parent]
        (folder.images if is_image(last) else folder.left_out).append(last)
    for folder in folders.values():
        folder.folders.sort()
        folder.images.sort()
        folder.left_out.sort(key=lambda entry: (not entry.endswith("/"), entry.removesuffix("/")))
    return folders


def _enter(path: str, folders: dict[str, Folder], seen: set[str]) -> bool:
    """Notes a folder and those above it; returns whether it is one that is read."""
    parent, _, last = path.rpartition("/")
    if path in seen:
        return path in folders
    if not _enter(parent, folders, seen):
        seen.add(path)
        return False
    seen.add(path)
    # Archives made on a Mac have a second file in there for each file.
    if last.startswith(".") or path == "__MACOSX":
        folders[parent].left_out.append(f"{last}/")
        return False
    folders[parent].folders.append(last)
    folders[path] = Folder([], [], [])
    return True


def is_archive(path: Path) -> bool:
    """Return whether a path is a file that is named as an archive."""
    return path.suffix.lower() in SUFFIXES and path.is_file()


def open_archive(path: Path, store: Path | None = None) -> ArchiveTree:
    """Return the tree of an archive; where all of it is in one folder, that of the folder.

    Raises:
        JaxnextError: as ``index_archive``.
    """
    tree = ArchiveTree(path, store)
    lines = tree.keep()
    while True:
        folders, files, _ = tree.list_folder()
        if len(folders) != 1 or files or not tree.below(folders[0]).list_folder()[0]:
            break
        tree = tree.below(folders[0], lines)
    if not tree.entries.names:
        raise JaxnextError(f"{path}: expected an archive with images in it, found an empty one")
    return tree


def open_tree(path: Path, store: Path | None = None) -> FileTree:
    """Return the tree of a folder, or of an archive in its place.

    Args:
        path: of the folder or archive.
        store: folder in which listings are kept; None: nothing is kept.

    Raises:
        JaxnextError: as ``open_archive``.
    """
    return open_archive(path, store) if is_archive(path) else FolderTree(path, store)
