"""The CSV file that lists images that cannot be read."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from jaxnext.atomic import whole_file
from jaxnext.data.bad_image import BadImage
from jaxnext.errors import JaxnextError

COLUMNS = ("path", "error")


def write_corrupt(path: Path, corrupt: Iterable[BadImage]) -> None:
    """Write the list; where there are no such images, remove it.

    A list from an earlier call would speak of images that this one has read. A file that is no such list is somebody
    else's, and left as it is.

    Args:
        path: of the CSV file.
        corrupt: the images; names that are not UTF-8 are written as they are.

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
    csv.writer(text, lineterminator="\n").writerow(COLUMNS)
    for row in rows:
        # The module would write a carriage return bare, and refuse it when reading.
        quoting = csv.QUOTE_ALL if "\r" in "".join(row) else csv.QUOTE_MINIMAL
        csv.writer(text, lineterminator="\n", quoting=quoting).writerow(row)
    with whole_file(path, "wb") as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))


def read_corrupt(path: Path) -> list[BadImage]:
    """Return what a list holds, also after an editor on Windows has saved it.

    Raises:
        JaxnextError: the file cannot be read, or is no list of corrupt images.
    """
    try:
        # utf-8-sig would refuse the other bytes of a name, were they not escaped.
        text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
        first, *rows = csv.reader(io.StringIO(text, newline=""))
        if tuple(first) != COLUMNS:
            raise ValueError("its columns are others")
        return [BadImage(name, reason) for name, reason in rows]
    except (OSError, ValueError, csv.Error) as error:
        raise JaxnextError(
            f"{path}: expected a CSV file with the columns {','.join(COLUMNS)}, found another; move it away"
        ) from error


def check_corrupt(path: Path) -> None:
    """Refuse a path at which ``write_corrupt`` could not write a list, before there is one.

    Raises:
        JaxnextError: there is a file that is no list of corrupt images.
    """
    if path.exists() and not _is_list(path):
        raise JaxnextError(
            f"{path}: expected no file, or a list of corrupt images with the columns {','.join(COLUMNS)}, found "
            "another file; move it away"
        )


def _is_list(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            line = file.readline(100)
    except OSError:
        return False
    return line.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n") == f"{','.join(COLUMNS)}\n".encode()
