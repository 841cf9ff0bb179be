"""The rows of a table of predictions: which images, in which order, under which names."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxnext.data.archive import is_archive, open_archive
from jaxnext.data.bad_image import BadImage
from jaxnext.data.class_folders import unlabelled
from jaxnext.data.file_names import MISSING, SEVERAL, match
from jaxnext.data.file_tree import FileSource
from jaxnext.data.folder_source import files_source
from jaxnext.data.image_source import ImageSource, Subset, some
from jaxnext.data.joined_source import JoinedSource
from jaxnext.data.listing import describe_left_out
from jaxnext.data.table import IMAGE_COLUMNS, Column, read_table
from jaxnext.errors import JaxnextError


class NamesTable(NamedTuple):
    """A CSV or TSV file that says which images to predict, such as a sample submission."""

    path: Path
    column: str | None = None
    """with the images' names; ``None``: it is guessed"""


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """The images to predict, in the order of their rows."""

    source: ImageSource
    keep_extension: bool
    given: Sequence[str] | None = None
    """the rows' names as a table has them; ``None``: they are made of the images' own"""
    failed: tuple[BadImage, ...] = ()
    """images that can have no row"""

    def name(self, index: int) -> str:
        """Return the name of a row."""
        return row_name(self.source.names[index], self.keep_extension) if self.given is None else self.given[index]


def rows_of(data: Sequence[Path], table: NamesTable | None, keep_extension: bool, warn: Callable[[str], None]) -> Rows:
    """Return the rows for the images of folders and files, sorted by path; or those of a table, in its order.

    Args:
        data: folders, archives and image files.
        table: the file whose rows are wanted; ``None``: a row for each image.
        keep_extension: names keep their file extension, where no table gives them.
        warn: shows a line about what was left out.

    Raises:
        JaxnextError: no images, two of one name; names of the table that are of no image, or of several.
    """
    source, left_out = images_of(data)
    if line := describe_left_out(left_out):
        warn(line)
    if table is not None:
        return _listed(source, table, data, keep_extension)
    bad = check_rows(source, keep_extension)
    if not len(bad):
        return Rows(source, keep_extension)
    failed = tuple(BadImage(source.location(i), "its name is not UTF-8; rename it") for i in bad.tolist())
    return Rows(Subset(source, np.delete(np.arange(len(source)), bad)), keep_extension, None, failed)


def images_of(data: Sequence[Path], may_lack: bool = False) -> tuple[ImageSource, Sequence[str]]:
    """Return the images of folders, archives and image files, sorted by full path, and what is left out.

    Args:
        data: folders, archives and image files.
        may_lack: whether there may be no images.

    Raises:
        JaxnextError: no images where there must be some, or a path that is neither of these.
    """
    archives = [path for path in data if is_archive(path)]
    if not archives:
        source = files_source(data, may_lack)
        return source, source.left_out
    others = [path for path in data if path not in archives]
    parts: list[FileSource] = [unlabelled(open_archive(path)) for path in archives]
    if others:
        parts.append(files_source(others, may_lack))
    left_out = [name for part in parts for name in part.left_out]
    if len(parts) == 1:
        return parts[0], left_out
    joined = JoinedSource(parts)
    order = sorted(range(len(joined)), key=joined.location)
    return Subset(joined, np.array(order, np.int64)), left_out


def _listed(source: ImageSource, table: NamesTable, data: Sequence[Path], keep_extension: bool) -> Rows:
    column = Column("image_column", table.column, IMAGE_COLUMNS, "image names")
    names = read_table(table.path, [column]).columns[0] or []
    found = match(names, source.names)
    where = ", ".join(map(str, data))
    for kind, what in ((MISSING, "are not there"), (SEVERAL, "could be several images, so that they need their path")):
        if chosen := np.flatnonzero(found == kind).tolist():
            raise JaxnextError(
                f"{table.path}: expected names of images in {where}, found {len(chosen):,} of {len(names):,} that "
                f"{what}: {some(names, chosen)}"
            )
    return Rows(Subset(source, found), keep_extension, names)


def row_name(name: str, keep_extension: bool) -> str:
    """Return the name of an image's row: its path relative to its folder, with or without extension."""
    return name if keep_extension else name[: name.rindex(".")]


def check_rows(source: ImageSource, keep_extension: bool) -> NDArray[np.int64]:
    """Refuse images whose rows would not tell them apart; return the numbers of those whose name cannot be written.

    It keeps eight bytes an image, not the names: they are made when the rows are written.

    Returns:
        int64 ``[m]``: images whose name is not UTF-8.

    Raises:
        JaxnextError: two images would share a name; both are named.
    """
    hashes = np.empty(len(source), np.int64)
    bad: list[int] = []
    for i, name in enumerate(source.names):
        row = row_name(name, keep_extension)
        if not row.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in row):
            bad.append(i)
        hashes[i] = hash(row)
    ordered = np.sort(hashes)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    seen: dict[str, int] = {}
    # Different names may have one hash.
    for i in np.flatnonzero(np.isin(hashes, twice)).tolist() if len(twice) else ():
        row = row_name(source.names[i], keep_extension)
        if row in seen:
            help_ = "predict the folders one at a time" if keep_extension else "set --keep_extension true"
            first, second = source.location(seen[row]), source.location(i)
            raise JaxnextError(f"{first} and {second} would both be the row {row!r}; {help_}")
        seen[row] = i
    return np.array(bad, np.int64)
