"""Where images come from: random access to encoded image files with their names and labels.

A label is an index into ``classes``, which are sorted as strings ('0', '1', '10', '11', ..., '2'): an index means
nothing without that list.
"""

import dataclasses
import hashlib
import importlib.util
import io
import itertools
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jaxnext.data.folder_index import FolderIndex
from jaxnext.data.listing import is_image, list_folder, list_images
from jaxnext.errors import JaxnextError


class Source(Protocol):
    """Encoded images by number. Worker processes get a copy, so that it must pickle."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order; empty where nothing is labelled."""
        ...

    @property
    def labels(self) -> NDArray[np.int32]:
        """int32 ``[n]``: index into ``classes``, -1 where unlabelled."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Path of each image relative to the folder given, with extension and forward slashes."""
        ...

    @property
    def in_memory(self) -> bool:
        """Whether reading costs nothing, so that worker processes would not pay."""
        ...

    def __len__(self) -> int: ...

    def location(self, index: int) -> str:
        """Where one image is, for messages: the full path of a file."""
        ...

    def read(self, index: int) -> bytes:
        """Bytes of one image file; ``OSError`` where it cannot be read."""
        ...

    def stamp(self, index: int) -> int:
        """A number from 1 to 2**63 - 1 that changes when the encoded image does; ``OSError`` where it is gone."""
        ...


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
        """From the size and the modification time of the file; ``OSError`` where it is gone."""
        # os.path.join: a Path takes longer to make than all else that a cached image costs but its copy.
        status = os.stat(os.path.join(self.roots[self.root_ids[index]], self.names[index]))  # noqa: PTH116, PTH118
        return _stamp(b"%d %d" % (status.st_size, status.st_mtime_ns))


@dataclasses.dataclass(frozen=True, eq=False)
class MemorySource:
    """Encoded images held in memory."""

    data: tuple[bytes, ...]
    names: tuple[str, ...]
    labels: NDArray[np.int32]
    classes: tuple[str, ...]
    in_memory = True

    def __len__(self) -> int:
        return len(self.data)

    def location(self, index: int) -> str:
        """Name of one image."""
        return self.names[index]

    def read(self, index: int) -> bytes:
        """Bytes of one image file."""
        return self.data[index]

    def stamp(self, index: int) -> int:
        """From the bytes of the file."""
        return zlib.crc32(self.data[index]) + 1


class Subset:
    """Some images of another source, in the order of ``indices``."""

    def __init__(self, source: Source, indices: NDArray[np.int64]) -> None:
        """Args: the whole source; int64 ``[n]``, the numbers of its images to keep."""
        self.source = source
        self.indices = indices
        self.labels = source.labels[indices]
        self.names = tuple(map(source.names.__getitem__, indices.tolist()))

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names of the whole source."""
        return self.source.classes

    @property
    def in_memory(self) -> bool:
        """Whether the whole source is in memory."""
        return self.source.in_memory

    def __len__(self) -> int:
        return len(self.indices)

    def location(self, index: int) -> str:
        """Where the whole source has the image."""
        return self.source.location(int(self.indices[index]))

    def read(self, index: int) -> bytes:
        """Bytes of one image file; ``OSError`` where it cannot be read."""
        return self.source.read(int(self.indices[index]))

    def stamp(self, index: int) -> int:
        """The stamp of the whole source; ``OSError`` where the image is gone."""
        return self.source.stamp(int(self.indices[index]))


def some(names: Sequence[str], chosen: Sequence[int] | None = None) -> str:
    """The first names of a list, and how many more there are, for messages."""
    picked = [names[i] for i in chosen] if chosen is not None else list(names)
    more = f" and {len(picked) - 5} more" if len(picked) > 5 else ""
    return ", ".join(picked[:5]) + more


def fingerprint(source: Source) -> str:
    """SHA-256 of the names and labels of a source's images, in order: whether it is still the same set."""
    digest = hashlib.sha256()
    for name, label in zip(source.names, source.labels.tolist(), strict=True):
        digest.update(f"{label} {name}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


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


def digits_source() -> MemorySource:
    """The 1,797 handwritten digits bundled with scikit-learn, 8x8 grey levels from 0 to 16, as 8-bit grey PNGs."""
    images, target = _digits()
    levels = np.rint(images.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    names = tuple(f"digit_{number:04d}.png" for number in range(len(levels)))
    return MemorySource(tuple(map(_png, levels)), names, target.astype(np.int32), tuple("0123456789"))


def _stamp(data: bytes) -> int:
    return (int.from_bytes(hashlib.blake2b(data, digest_size=8).digest()) & (2**63 - 1)) or 1


def _digits() -> tuple[NDArray[np.floating], NDArray[np.integer]]:
    """Grey levels ``[n, 64]`` and digits ``[n]``.

    Read from the file that scikit-learn holds: importing the package takes a second, most of it for SciPy. Where a
    release keeps them elsewhere, it is asked.
    """
    package = importlib.util.find_spec("sklearn")
    if package is not None and package.origin is not None:
        file = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
        if file.is_file():
            rows = np.loadtxt(file, delimiter=",")
            return rows[:, :-1], rows[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    return digits.data, digits.target


def _png(levels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG")
    return file.getvalue()
