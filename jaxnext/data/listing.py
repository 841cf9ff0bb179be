"""Which files in a folder are images, and a word about those that are not."""

import collections
import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from PIL import Image, ImageFile

from jaxnext.errors import JaxnextError


@functools.cache
def image_extensions() -> frozenset[str]:
    """Extensions in lower case, with the dot, of the formats whose pixels Pillow itself can read."""
    extensions = Image.registered_extensions()
    return frozenset(extension for extension, kind in extensions.items() if _decodes(kind))


def _decodes(kind: str) -> bool:
    # Stubs (HDF5, GRIB, BUFR, WMF) and MPEG are only recognised: opening one works, loading it does not.
    factory = Image.OPEN[kind][0] if kind in Image.OPEN else None
    stub = isinstance(factory, type) and issubclass(factory, ImageFile.StubImageFile)
    return factory is not None and not stub and kind != "MPEG"


def is_image(name: str) -> bool:
    """Whether a file counts as an image by its name: not hidden, and with the extension of an image format."""
    path = PurePosixPath(name)
    return not path.name.startswith(".") and path.suffix.lower() in image_extensions()


def list_images(root: Path, under: str = "") -> tuple[list[str], list[str]]:
    """Images below a folder, sorted, and what was left out, as paths relative to ``root``."""
    images: list[str] = []
    left_out: list[str] = []
    for name, is_left_out in _walk(root, under, frozenset()):
        (left_out if is_left_out else images).append(name)
    return sorted(images), sorted(left_out)


def list_folder(folder: Path) -> tuple[list[str], list[str], list[str]]:
    """Names in a folder: folders, files, and hidden ones of both kinds (folders among these with a slash), sorted."""
    try:
        with os.scandir(folder) as scan:
            found = sorted((entry.name, entry.is_dir()) for entry in scan)
    except FileNotFoundError:
        raise JaxnextError(f"{folder}: no such folder") from None
    except OSError as error:
        raise JaxnextError(f"{folder}: expected a folder that can be read, found: {error.strerror}") from error

    def pick(hidden: bool, folders: bool) -> Iterable[str]:
        return (name for name, is_dir in found if name.startswith(".") == hidden and is_dir == folders)

    hidden = [*(f"{name}/" for name in pick(True, True)), *pick(True, False)]
    return list(pick(False, True)), list(pick(False, False)), hidden


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


def _walk(root: Path, under: str, ancestors: frozenset[tuple[int, int]]) -> Iterator[tuple[str, bool]]:
    folder = root / under
    status = folder.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in ancestors:
        raise JaxnextError(f"{folder}: the link leads back to a folder that contains it")
    folders, files, hidden = list_folder(folder)
    below = f"{under}/" if under else ""
    yield from ((below + name, True) for name in hidden)
    yield from ((below + name, not is_image(name)) for name in files)
    for name in folders:
        yield from _walk(root, below + name, ancestors | {identity})
