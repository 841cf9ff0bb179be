"""One image from its place to another, at any moment whole in the one or in the other, and never over a file.

A file appears under its new name at once: it is written beside, and linked, which fails where there is a file.
"""

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from jaxnext.errors import JaxnextError

Mode = Literal["copy", "link", "move"]

_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}


def content_digest(data: bytes) -> str:
    """Return what tells the content of a file from others: SHA-256, 64 letters."""
    return hashlib.sha256(data).hexdigest()


def file_digest(path: Path) -> str | None:
    """Return ``content_digest`` of a file; ``None`` where there is none, or something else than a file."""
    if path.is_symlink() or not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_copy(data: bytes, origin: Path | None, target: Path) -> None:
    """Write a new file with the content of an image.

    Args:
        data: the content.
        origin: file whose times and permissions it gets; ``None``: an archive's.
        target: of the new file.

    Raises:
        FileExistsError: there is something at ``target``.
    """
    beside = part_of(target)
    _write(data, beside)
    if origin is not None:
        # A file system without permissions keeps the content alone.
        with contextlib.suppress(OSError):
            shutil.copystat(origin, beside)
    _rename_to_new(beside, target)


def write_link(origin: Path, target: Path) -> None:
    """Make a symbolic link to the absolute path of an image; ``FileExistsError`` where there is something."""
    target.symlink_to(origin.absolute())


def is_link_to(place: Path, origin: Path) -> bool:
    """Return whether a place has the link to an image that ``write_link`` makes."""
    return place.is_symlink() and place.readlink() == origin.absolute()


def move(origin: Path, target: Path) -> None:
    """Give a file another place, also on another file system.

    Raises:
        FileExistsError: there is something at ``target``.
        JaxnextError: on another file system the copy is not equal; the file stays where it was.
    """
    try:
        _rename_to_new(origin, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _move_across(origin, target)


def finish_move(origin: Path, target: Path) -> bool:
    """Go on with a move that was cut off; return whether the file is in its new place alone.

    Where it is in both, the old one is removed; it is the new one's link, or equal.
    """
    part_of(target).unlink(missing_ok=True)
    if not os.path.lexists(target):
        return False
    if not os.path.lexists(origin):
        return True
    if _same_file(origin, target) or _equal(origin, target):
        origin.unlink()
        return True
    return False


def forget_reservation(target: Path) -> None:
    """Remove the empty file that kept a name free where there are no hard links, after a move or copy was cut off."""
    if target.is_file() and not target.is_symlink() and target.stat().st_size == 0:
        target.unlink()


def part_of(target: Path) -> Path:
    """Return where a file is written before it has its name: beside it, and never too long."""
    return target.with_name(f".sorted.{content_digest(os.fsencode(target.name))[:16]}.part")


def free_names(name: str, longest: int = 255) -> Callable[[int], str]:
    """Return the names of a file of which the first that is free is taken: ``a.jpg``, ``a (2).jpg``, ...

    Args:
        name: of the file.
        longest: bytes of a name that the system takes.
    """
    stem, dot, extension = name.rpartition(".")

    def of(number: int) -> str:
        if number == 1:
            return name
        ending = f" ({number}){dot}{extension}" if stem else f" ({number})"
        begin = os.fsencode(stem or name)[: longest - len(os.fsencode(ending))]
        return begin.decode("utf-8", "ignore" if _is_utf8(stem or name) else "surrogateescape") + ending

    return of


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _write(data: bytes, path: Path) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _rename_to_new(origin: Path, target: Path) -> None:
    try:
        os.link(origin, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # The name is taken with an empty file, which the rename replaces.
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            origin.replace(target)
        except OSError:
            target.unlink()
            raise
    else:
        _remove_old(origin, target)


def _remove_old(origin: Path, target: Path) -> None:
    """End a move; where the file may not leave its folder, it has not moved."""
    try:
        origin.unlink()
    except OSError:
        target.unlink()
        raise


def _move_across(origin: Path, target: Path) -> None:
    data = origin.read_bytes()
    write_copy(data, origin, target)
    _sync_folder(target.parent)
    if not _equal(origin, target):
        target.unlink()
        raise JaxnextError(f"{origin}: expected an equal copy at {target}, found another; the image stays in its place")
    _remove_old(origin, target)


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _same_file(one: Path, other: Path) -> bool:
    a, b = one.lstat(), other.lstat()
    return (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)


def _equal(one: Path, other: Path) -> bool:
    found = file_digest(one)
    return found is not None and found == file_digest(other)
