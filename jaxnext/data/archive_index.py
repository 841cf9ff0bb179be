"""The directory of a ``.zip`` or ``.tar`` file: its files' names, and where their bytes lie.

Every name is checked before anything is read. References: PKWARE's APPNOTE.TXT; POSIX.1-2024, pax.
"""

import itertools
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxnext.data.image_source import file_identity
from jaxnext.data.index_file import IndexFile
from jaxnext.errors import JaxnextError, one_line

IN_TAR, STORED, DEFLATED = -1, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
"""How an entry is stored: as it is; as it is behind a header; deflated behind a header."""

MAX_SIZE = 2**30
"""Bytes; an entry that would be larger is refused: no image file is."""
MAX_RATIO, SMALL = 200, 2**26
"""An entry of more than ``SMALL`` bytes that shrank to one in ``MAX_RATIO`` or less is refused: no photograph does."""

DEEPEST = 100
"""Folders of an entry's path; no archive of images has deeper ones."""

_METHODS = {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA", 93: "Zstandard", 9: "Deflate64"}
_ENCRYPTED = 0x1


class Entries(NamedTuple):
    """The files in an archive, in its order."""

    names: list[str]
    """paths with forward slashes"""
    places: NDArray[np.int64]
    """as ``ArchiveSource.places``"""


def index_archive(path: Path, store: Path | None = None) -> tuple[Entries, list[str]]:
    """Return the files in an archive, and lines for the user.

    Args:
        path: of the archive.
        store: folder in which the directory of a ``.tar`` file is kept, which takes reading all of its headers.

    Raises:
        JaxnextError: no such file, no archive, or one that is compressed as a whole, encrypted or damaged; an entry
            whose path leads out of the archive, that is a link, that stands twice, or that would be larger than any
            image. The entry is named.
    """
    try:
        with path.open("rb") as file:
            beginning = file.read(6)
        if path.suffix.lower() == ".zip":
            return _zip(path), []
        if beginning[:2] == b"\x1f\x8b" or beginning[:3] == b"BZh" or beginning == b"\xfd7zXZ\x00":
            raise JaxnextError(
                f"{path}: expected a .tar file that is not compressed, since images are read in any order, found one "
                "that is; decompress it, or unpack it"
            )
        return _kept_tar(path, store)
    except (OSError, zipfile.BadZipFile, tarfile.TarError, zlib.error, NotImplementedError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else one_line(error)
        raise JaxnextError(f"{path}: the archive cannot be read ({reason})") from error


def _zip(path: Path) -> Entries:
    with zipfile.ZipFile(path) as file:
        found = [info for info in file.infolist() if not info.is_dir() and not info.filename.endswith("\\")]
    # Some programs on Windows write their own separator.
    names = [_checked(path, info.filename.replace("\\", "/")) for info in found]
    places = np.array(
        [(info.header_offset, info.compress_size, info.file_size, info.compress_type) for info in found], np.int64
    ).reshape(-1, 4)
    for name, info in zip(names, found, strict=True):
        if info.flag_bits & _ENCRYPTED:
            raise JaxnextError(f"{path}: expected a zip file without a password, found the encrypted entry {name!a}")
        if info.compress_type not in (STORED, DEFLATED):
            method = _METHODS.get(info.compress_type, f"method {info.compress_type}")
            raise JaxnextError(f"{path}: expected stored or deflated entries, found {name!a} with {method}; zip anew")
        if (info.external_attr >> 28) == 0o12:
            raise JaxnextError(f"{path}: expected files and folders, found the link {name!a}")
        if info.file_size > MAX_SIZE or info.file_size > max(SMALL, MAX_RATIO * info.compress_size):
            raise JaxnextError(
                f"{path}: expected image files, found the entry {name!a} that would grow from {info.compress_size:,} "
                f"to {info.file_size:,} bytes"
            )
    _check_apart(path, names, places)
    return _unique(path, names, places)


def _check_apart(path: Path, names: list[str], places: NDArray[np.int64]) -> None:
    """Refuses entries that lie on one another: such a small file would be read many times over."""
    order = np.argsort(places[:, 0], kind="stable")
    starts, ends = places[order, 0], places[order, 0] + places[order, 1]
    overlap = np.flatnonzero(starts[1:] < ends[:-1])
    if len(overlap):
        first, second = (names[order[overlap[0] + i]] for i in (0, 1))
        raise JaxnextError(f"{path}: expected entries apart from one another, found {first!a} and {second!a} overlap")


def _kept_tar(path: Path, store: Path | None) -> tuple[Entries, list[str]]:
    lines: list[str] = []
    key = f"{path.absolute()}\n{file_identity(path.stat()).decode()}"
    kept = IndexFile(store, key, f"directory of {path}") if store is not None else None
    if kept is not None and (found := kept.read(lines)) is not None:
        return Entries(found[1]["names"], found[0]["places"]), lines
    entries = _tar(path)
    if kept is not None:
        kept.write({"places": entries.places}, {"names": entries.names}, lines)
    return entries, lines


def _tar(path: Path) -> Entries:
    names: list[str] = []
    places: list[tuple[int, int, int, int]] = []
    size = path.stat().st_size
    with tarfile.open(path, "r:", encoding="utf-8", errors="surrogateescape") as file:
        for member in file:
            # Kept by the library, they would take a kilobyte each.
            file.members = []  # pyright: ignore[reportAttributeAccessIssue]
            if member.isdir() or member.type in (tarfile.XGLTYPE, tarfile.XHDTYPE):
                continue
            name = _checked(path, member.name)
            if not member.isreg():
                raise JaxnextError(f"{path}: expected files and folders, found the link or device {name!a}")
            if member.issparse():
                raise JaxnextError(f"{path}: expected files as they are, found the sparse entry {name!a}")
            if member.offset_data + member.size > size:
                raise JaxnextError(f"{path}: the archive is cut short in its entry {name!a}")
            names.append(name)
            places.append((member.offset_data, member.size, member.size, IN_TAR))
    return _unique(path, names, np.array(places, np.int64).reshape(-1, 4))


def _checked(path: Path, name: str) -> str:
    """The path of an entry without what says nothing (``./``, ``//``).

    Raises:
        JaxnextError: it leads out of the archive, or is in very many folders.
    """
    parts = name.split("/")
    if name[:1] == "/" or ".." in parts or name[1:2] == ":" or "\0" in name:
        raise JaxnextError(f"{path}: expected paths inside of the archive, found the entry {name!a}")
    if len(parts) > DEEPEST:
        raise JaxnextError(
            f"{path}: expected entries at most {DEEPEST} folders deep, found {name[:40]!a}... in {len(parts) - 1:,}"
        )
    return name if "" not in parts and "." not in parts else "/".join(part for part in parts if part not in ("", "."))


def _unique(path: Path, names: list[str], places: NDArray[np.int64]) -> Entries:
    if len(set(names)) < len(names):
        ordered = sorted(names)
        twice = next(first for first, second in itertools.pairwise(ordered) if first == second)
        raise JaxnextError(f"{path}: expected each path once, found the entry {twice!a} twice")
    return Entries(names, places)
