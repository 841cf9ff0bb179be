"""Image files in folders: a folder for each class, or any folders and files."""

import dataclasses
import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jaxnext.data.folder_index import FolderIndex
from jaxnext.data.image_source import file_identity, some, stamp_of
from jaxnext.data.listing import is_image, list_folder, list_images
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


def class_folder_source(
    path: Path, classes: Sequence[str] | None = None, index: FolderIndex | None = None
) -> FolderSource:
    """Images in a folder with one folder per class, searched to any depth, sorted by class and path.

    Args:
        path: the folder of class folders.
        classes: the label order to use; None: the names of the class folders, sorted as strings.
        index: what earlier starts know of the class folders; saving it is for the caller.

    Raises:
        JaxnextError: the folder is missing or holds no class folders or images outside of them; a class folder has no
            image (without ``classes``); a class folder is not among ``classes``.
    """
    folders, files, left_out = list_folder(path)
    images = [name for name in files if is_image(name)]
    if images:
        raise JaxnextError(
            f"{path}: expected only class folders, found the image {images[0]} beside them; move it into a class folder"
        )
    left_out += files
    if not folders:
        raise JaxnextError(f"{path}: expected a folder with images for each class, found no folders")
    order = tuple(folders) if classes is None else tuple(classes)
    numbers = {name: number for number, name in enumerate(order)}
    names: list[str] = []
    labels: list[int] = []
    for folder in folders:
        if folder not in numbers:
            raise JaxnextError(
                f"{path / folder}: expected one of the {len(order)} classes {some(order)}, found {folder!r}"
            )
        found, others = list_images(path, folder, index)
        if not found and classes is None:
            raise JaxnextError(f"{path / folder}: the class folder holds no images; add some or remove the folder")
        names += found
        labels += [numbers[folder]] * len(found)
        left_out += others
    if not names:
        raise JaxnextError(f"{path}: the class folders hold no images")
    roots = np.zeros(len(names), np.int32)
    return FolderSource((str(path),), roots, tuple(names), np.array(labels, np.int32), order, tuple(left_out))


def check_other_folders(root: Path, others: Sequence[str], classes: Sequence[str]) -> None:
    """Refuses a folder that looks like the validation images, where there is no ``val/``.

    Args:
        root: that holds ``train/``.
        others: folders beside it that are not read.
        classes: of the training images.

    Raises:
        JaxnextError: one of them has a folder of one of the classes.
    """
    for other in others:
        # Not Path.is_dir, which raises where a folder may not be looked into.
        if any(os.path.isdir(os.path.join(root, other, name)) for name in classes):  # noqa: PTH112, PTH118
            raise JaxnextError(
                f"{root}: expected val/ beside train/, or no other folder with the same classes, found {other}/; did "
                "you mean val/? rename it, or move it away to have part of train/ held out"
            )


def files_source(paths: Sequence[Path]) -> FolderSource:
    """Unlabelled images: those in folders, at any depth, and single files, sorted by full path.

    The name of an image in a folder is its path relative to that folder; that of a single file is its file name.

    Raises:
        JaxnextError: a path is missing; a single file is no image by its extension; a file is given twice; no images.
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
            root, found = path.parent, [path.name]
        roots.append(str(root))
        names += found
        counts.append(len(found))
    if not names:
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
