"""Image files in folders: a folder for each class, or any folders and files."""

import dataclasses
import functools
import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jaxnext.data.class_folders import class_folders
from jaxnext.data.folder_index import FolderIndex
from jaxnext.data.image_source import file_identity, some, stamp_of
from jaxnext.data.listing import check_file, is_image, list_folder, list_images
from jaxnext.errors import JaxnextError


@dataclasses.dataclass(frozen=True, eq=False)
class FolderSource:
    """Image files in one or several folders."""

    roots: tuple[str, ...]
    """folders that the names are relative to"""
    root_ids: NDArray[np.int32]
    """index into ``roots`` for each image"""
    names: tuple[str, ...]
    labels: NDArray[np.int32]
    classes: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    """hidden entries and files that are not images, by their path; a folder ends in a slash"""
    in_memory = False

    def __len__(self) -> int:
        return len(self.names)

    def location(self, index: int) -> str:
        """Full path of one image."""
        return str(Path(self.roots[self.root_ids[index]], self.names[index]))

    def read(self, index: int) -> bytes:
        """Bytes of one image file; ``OSError`` where it cannot be read."""
        return Path(self.location(index)).read_bytes()

    def stamp(self, index: int) -> int:
        """From inode, size and times of the file; ``OSError`` where it is gone."""
        # os.path.join: a Path takes longer to make than all else that a cached image costs but its copy.
        status = os.stat(os.path.join(self.roots[self.root_ids[index]], self.names[index]))  # noqa: PTH116, PTH118
        return stamp_of(file_identity(status))


@dataclasses.dataclass(frozen=True, eq=False)
class FolderTree:
    """A folder on disk."""

    path: Path
    store: Path | None = None
    """folder in which listings are kept from one start to the next; None: nothing is kept"""

    def list_folder(self) -> tuple[list[str], list[str], list[str]]:
        """Names in the folder, as ``listing.list_folder``."""
        return list_folder(self.path, self._outside)

    def list_images(self, under: str = "") -> tuple[list[str], list[str]]:
        """Images below a folder and what was left out, as ``listing.list_images``."""
        return list_images(self.path, under, self._index, self._outside)

    def below(self, name: str) -> "FolderTree":
        """Return the tree of a folder in this one."""
        return FolderTree(self.path / name, self.store)

    def source(
        self, names: Sequence[str], labels: NDArray[np.int32], classes: Sequence[str], left_out: Sequence[str] = ()
    ) -> FolderSource:
        """Return some of the images, as ``FileTree.source``."""
        roots = np.zeros(len(names), np.int32)
        return FolderSource((str(self.path),), roots, tuple(names), labels, tuple(classes), tuple(left_out))

    def keep(self) -> list[str]:
        """Write the index of the folders that were listed; lines about links, and where that is not possible."""
        links = sorted(self._outside)
        lines = [f"{self.path}: {len(links):,} links lead outside of it: {some(links)}"] if links else []
        if self._index is not None:
            self._index.save()
            lines += self._index.lines
        return lines

    @functools.cached_property
    def _outside(self) -> set[str]:
        return set()

    @functools.cached_property
    def _index(self) -> FolderIndex | None:
        return None if self.store is None else FolderIndex(self.store, self.path)


def class_folder_source(path: Path, classes: Sequence[str] | None = None) -> FolderSource:
    """Images in a folder with one folder per class; arguments and errors as ``class_folders``."""
    source = class_folders(FolderTree(path), classes)
    assert isinstance(source, FolderSource)
    return source


def files_source(paths: Sequence[Path], may_lack: bool = False) -> FolderSource:
    """Unlabelled images: those in folders, at any depth, and single files, sorted by full path.

    The name of an image in a folder is its path relative to that folder; that of a single file is its file name.

    Args:
        paths: of folders and image files.
        may_lack: whether there may be no images.

    Raises:
        JaxnextError: a path is missing; a single file is no image by its extension; a file is given twice; no images
            where there must be some.
    """
    roots: list[str] = []
    names: list[str] = []
    counts: list[int] = []
    left_out: list[str] = []
    for path in paths:
        if path.is_dir():
            root = path
            found, others = list_images(path)
            left_out += others
        elif not path.exists():
            raise JaxnextError(f"{path}: no such file or folder")
        elif not is_image(path.name):
            raise JaxnextError(f"{path}: expected an image file, found the extension {path.suffix!r}")
        else:
            check_file(str(path))
            root, found = path.parent, [path.name]
        roots.append(str(root))
        names += found
        counts.append(len(found))
    if not names and not may_lack:
        raise JaxnextError(f"{', '.join(map(str, paths)) or 'no path given'}: found no images")
    root_ids = np.repeat(np.arange(len(roots), dtype=np.int32), counts)
    # The images of one folder are sorted, and a full path for each would take more memory than all else.
    if len(roots) > 1:
        # One Path a root: pathlib keeps the parts of each.
        before = [(Path(root) / "-").as_posix()[:-1] for root in roots]
        places = [before[root] + name for root, name in zip(root_ids.tolist(), names, strict=True)]
        order = sorted(range(len(places)), key=places.__getitem__)
        for first, second in itertools.pairwise(order):
            if places[first] == places[second]:
                raise JaxnextError(f"{places[first]}: the image is given twice")
        root_ids, names = root_ids[order], [names[i] for i in order]
    labels = np.full(len(names), -1, np.int32)
    return FolderSource(tuple(roots), root_ids, tuple(names), labels, (), tuple(left_out))
