"""Files that are whole or not there; tables of files that cannot be read; digests."""

import contextlib
import csv
import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Literal

from jaxnext.errors import JaxnextError


@contextlib.contextmanager
def whole_file(path: Path, mode: Literal["w", "wb"] = "w") -> Iterator[IO[Any]]:
    """A file that appears under its name only when the block ends well: written beside, then renamed.

    Args:
        path: of the file; missing folders above it are made.
        mode: ``w`` for UTF-8 text, written with the line ends it is given, or ``wb``.

    Raises:
        JaxnextError: the file cannot be written; names the path.
    """
    if not path.name or os.path.isdir(path):  # noqa: PTH112 - the method raises where the name is too long
        raise JaxnextError(f"{path}: expected the name of a file, found a folder")
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open(mode) if mode == "wb" else beside.open(mode, encoding="utf-8", newline="") as file:
            yield file
        beside.replace(path)
    except OSError as error:
        raise JaxnextError(f"{path}: the file cannot be written ({error.strerror or error})") from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


CORRUPT_COLUMNS = ("path", "error")


def write_corrupt(path: Path, corrupt: Iterable[tuple[str, str]]) -> None:
    """A CSV file of images that cannot be read; where there are none, it is removed.

    A list from an earlier call would speak of images that this one has read. A file that is no such list is somebody
    else's, and left as it is.

    Args:
        path: of the CSV file.
        corrupt: path and reason of each image; names that are not UTF-8 are written as they are.

    Raises:
        JaxnextError: the file cannot be written, or is no list of corrupt images.
    """
    rows = list(corrupt)
    if not rows:
        if _is_list(path):
            path.unlink(missing_ok=True)
        return
    check_corrupt(path)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([CORRUPT_COLUMNS, *rows])
    with whole_file(path, "wb") as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))


def check_corrupt(path: Path) -> None:
    """Refuses a path at which ``write_corrupt`` could not write a list, before there is one.

    Raises:
        JaxnextError: there is a file that is no list of corrupt images.
    """
    if path.exists() and not _is_list(path):
        raise JaxnextError(
            f"{path}: expected no file, or a list of corrupt images with the columns {','.join(CORRUPT_COLUMNS)}, "
            "found another file; move it away"
        )


def _is_list(path: Path) -> bool:
    """Whether a file is one that ``write_corrupt`` has written."""
    header = ",".join(CORRUPT_COLUMNS).encode() + b"\n"
    try:
        with path.open("rb") as file:
            return file.read(len(header)) == header
    except OSError:
        return False


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
