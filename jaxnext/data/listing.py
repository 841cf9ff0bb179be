"""Which files in a folder are images, and a word about those that are not."""

import collections
import errno
import functools
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from PIL import Image, ImageFile

from jaxnext.data import heif
from jaxnext.data.folder_index import Folder, FolderIndex
from jaxnext.errors import JaxnextError

_DEEPEST = 100
"""Folders in one another; deeper ones are made by a program that went astray."""


@functools.cache
def image_extensions() -> frozenset[str]:
    """Extensions in lower case, with the dot, of the formats whose pixels Pillow itself or pillow-heif can read."""
    extensions = Image.registered_extensions()
    return heif.EXTENSIONS.union(extension for extension, kind in extensions.items() if _decodes(kind))


def _decodes(kind: str) -> bool:
    # Stubs (HDF5, GRIB, BUFR, WMF) and MPEG are only recognised: opening one works, loading it does not.
    factory = Image.OPEN[kind][0] if kind in Image.OPEN else None
    stub = isinstance(factory, type) and issubclass(factory, ImageFile.StubImageFile)
    # PostScript is decoded by running it, in Ghostscript.
    return factory is not None and not stub and kind not in ("MPEG", "EPS")


def is_image(name: str) -> bool:
    """Whether a file counts as an image by its name: not hidden, and with the extension of an image format."""
    # String operations: asked of a million names, pathlib takes seconds longer.
    name = name[name.rfind("/") + 1 :]
    dot = name.rfind(".")
    return dot > 0 and name[0] != "." and name[dot:].lower() in image_extensions()


def list_images(
    root: Path, under: str = "", index: FolderIndex | None = None, outside: set[str] | None = None
) -> tuple[list[str], list[str]]:
    """Images below a folder, sorted, and what was left out, as paths relative to ``root``.

    Links are followed, outside of the folder too: a folder of links to images that lie elsewhere is a common data set.

    Args:
        root: the folder that names are relative to.
        under: the folder below it that is listed; empty: all of it.
        index: what earlier starts know of the folders below ``root``; folders that have changed since are listed again.
        outside: receives the links that lead outside of ``root``.

    Raises:
        JaxnextError: a folder that cannot be read, or a link that leads back to a folder that contains it.
    """
    images: list[str] = []
    left_out: list[str] = []
    for below, folder in _walk(root, under, frozenset(), index, outside):
        images += [below + name for name in folder.images] if below else folder.images
        left_out += [below + name for name in folder.left_out]
    return sorted(images), sorted(left_out)


def list_folder(folder: Path, outside: set[str] | None = None) -> tuple[list[str], list[str], list[str]]:
    """Names in a folder: folders, files, and hidden ones of both kinds (folders among these with a slash), sorted.

    Args:
        folder: that is listed.
        outside: receives the links that lead outside of it.

    Raises:
        JaxnextError: it cannot be read.
    """
    folders, files, hidden, links = _scan(folder)
    if outside is not None:
        outside.update(_outside(folder, folder, links))
    return folders, files, hidden


def describe_left_out(left_out: Sequence[str]) -> str | None:
    """One line that counts the entries left out by kind, or None where there are none."""
    if not left_out:
        return None
    counts = collections.Counter(map(_kind, left_out)).most_common()
    counts.sort(key=lambda item: (-item[1], item[0]))
    kinds = [f"{kind} {count}" for kind, count in counts[:5]]
    if len(counts) > 5:
        kinds.append(f"other kinds {sum(count for _, count in counts[5:])}")
    noun = "entry that is hidden or no image" if len(left_out) == 1 else "entries that are hidden or no images"
    return f"left out {len(left_out)} {noun} ({', '.join(kinds)})"


def _kind(name: str) -> str:
    path = PurePosixPath(name)
    if name.endswith("/"):
        return f"{path.name}/"
    if path.name.startswith("."):
        return f"hidden {path.suffix.lower()}" if path.suffix else path.name
    return path.suffix.lower() or "without extension"


def _walk(
    root: Path,
    under: str,
    ancestors: frozenset[tuple[int, int]],
    index: FolderIndex | None,
    outside: set[str] | None,
) -> Iterator[tuple[str, Folder]]:
    """The folders from ``under`` on: the beginning of the names in each, and what it holds."""
    path, below = root / under, f"{under}/" if under else ""
    # Before it is listed: what changes meanwhile is then newer.
    status = path.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in ancestors:
        raise JaxnextError(f"{path}: the link leads back to a folder that contains it")
    if len(ancestors) > _DEEPEST:
        raise JaxnextError(f"{root}: expected folders at most {_DEEPEST} deep in one another, found deeper ones")
    folder = index.find(under, status) if index else None
    if folder is None:
        folders, files, hidden, links = _scan(path)
        images = [name for name in files if is_image(name)]
        others = [name for name in files if not is_image(name)] if len(images) < len(files) else []
        folder = Folder(folders, images, hidden + others)
        # Links may come to lead elsewhere, which the folder's times do not tell.
        if index and not links:
            index.add(under, status, folder)
        if outside is not None:
            outside.update(below + name for name in _outside(root, path, links))
    yield below, folder
    for name in folder.folders:
        yield from _walk(root, below + name, ancestors | {identity}, index, outside)


def _outside(root: Path, folder: Path, links: Sequence[str]) -> Iterator[str]:
    """The links in a folder whose own target is not below ``root``; what that leads to is not followed."""
    if not links:
        return
    places = tuple(f"{place}/" for place in (root.absolute(), os.path.realpath(root)))
    here = os.path.realpath(folder)
    for name in links:
        # Not pathlib, which takes longer: there may be a link for each image.
        target = os.path.normpath(os.path.join(here, os.readlink(os.path.join(here, name))))  # noqa: PTH115, PTH118
        if not f"{target}/".startswith(places):
            yield name


def check_file(path: str) -> None:
    """Refuse what is named as an image, and would never begin or never end to be read.

    Raises:
        JaxnextError: it is a named pipe, a socket or a device.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
    except FileNotFoundError:  # a link to nothing is a bad image, as others
        return
    kinds = {stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
    if kind := kinds.get(stat.S_IFMT(mode)):
        raise JaxnextError(f"{path}: expected an image file, found a {kind}; remove it")


def _scan(folder: Path) -> tuple[list[str], list[str], list[str], list[str]]:
    """Names as ``list_folder`` has them, and those of links among them."""
    folders: list[str] = []
    files: list[str] = []
    hidden: list[str] = []
    links: list[str] = []
    try:
        with os.scandir(folder) as scan:
            for entry in scan:
                name, is_dir = entry.name, entry.is_dir()
                if not is_dir and not entry.is_file() and is_image(name):
                    check_file(entry.path)
                if name[0] == ".":
                    hidden.append(f"{name}/" if is_dir else name)
                else:
                    (folders if is_dir else files).append(name)
                if entry.is_symlink():
                    links.append(name)
    except FileNotFoundError:
        raise JaxnextError(f"{folder}: no such folder") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise JaxnextError(
                f"{error.filename}: expected a link to a file or folder, found one in a circle"
            ) from None
        raise JaxnextError(f"{folder}: expected a folder that can be read, found: {error.strerror}") from error
    hidden.sort(key=lambda name: (not name.endswith("/"), name.removesuffix("/")))
    return sorted(folders), sorted(files), hidden, links
