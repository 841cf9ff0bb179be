"""Columns of a CSV or TSV file, as text: ``01``, ``NA``, ``nan`` and ``1e5`` stay what they are."""

import csv
import io
import itertools
import operator
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxnext.data.image_source import some
from jaxnext.errors import JaxnextError, UsageError, printable

_DELIMITERS = ",\t;"
_AT_A_TIME = 10_000
IMAGE_COLUMNS = (
    *("image", "filename", "file", "path", "id", "image_id"),
    *("image_name", "image_path", "file_name", "filepath", "name"),
)
"""Names that the column of image names is guessed by, the likeliest first."""
LABEL_COLUMNS = ("label", "class", "target", "category")


class Column(NamedTuple):
    """A column that is looked for."""

    key: str
    """setting that names it, without dashes"""
    given: str | None
    """its name, None: it is guessed"""
    guesses: tuple[str, ...]
    """names that are tried where none is given, in any case"""
    what: str
    """it holds, for messages"""
    needed: bool = True


class Table(NamedTuple):
    """Some columns of a file."""

    columns: list[list[str] | None]
    """as they were looked for; None: there is no such column"""
    names: list[str | None]
    """their names"""

    def __len__(self) -> int:
        return len(next(column for column in self.columns if column is not None))


def read_table(path: Path, wanted: Sequence[Column], content: bytes | None = None) -> Table:
    """Return columns of a file with a header. UTF-8, with or without a byte-order mark; blank lines do not count.

    The delimiter is a tab in a .tsv file; else that of comma, tab and semicolon which gives the most columns.

    Args:
        path: of the file.
        wanted: the columns, in the order in which they are returned. The first is the one that differs in each row.
        content: of the file, where it lies in an archive; None: it is read.

    Raises:
        UsageError: a column that was given is not there.
        JaxnextError: the file cannot be read, is not UTF-8, has no usable column, or a row is of another length.
    """
    try:
        stored = path.open("rb") if content is None else io.BytesIO(content)
        with io.TextIOWrapper(stored, encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            sign = _delimiter(path, first)
            # Strict: a quote that is not closed is an error, and not the rest of the file.
            reader = csv.reader(itertools.chain([first], file), delimiter=sign, strict=True, skipinitialspace=True)
            try:
                header, places, columns = _columns(path, filter(None, reader), wanted)
            except csv.Error as error:
                raise JaxnextError(f"{path}: line {reader.line_num} is not as CSV has it ({error})") from error
    except OSError as error:
        raise JaxnextError(f"{path}: the file cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise JaxnextError(
            f"{path}: expected text in UTF-8, found the byte {error.object[error.start]:#04x}; save it as UTF-8"
        ) from error
    except ValueError as error:  # a path with a null character
        raise JaxnextError(f"{path!s:.80}: the file cannot be read ({error})") from error
    return Table(columns, [None if place is None else header[place] for place in places])


def describe_columns(path: Path, table: Table, wanted: Sequence[Column]) -> str:
    """Return the line that says which columns were taken, and how to name others where they were guessed."""
    pairs = [(column, name) for column, name in zip(wanted, table.names, strict=True) if name is not None]
    taken = ", ".join(f"{column.what} from the column {name}" for column, name in pairs)
    guessed = " and ".join(f"--{column.key}" for column, _ in pairs if column.given is None and column.needed)
    return f"{path}: {len(table):,} rows; {taken}" + (f" ({guessed} to name another)" if guessed else "")


def _delimiter(path: Path, first: str) -> str:
    try:
        return "\t" if path.suffix.lower() == ".tsv" else max(_DELIMITERS, key=lambda sign: _width(first, sign))
    except csv.Error as error:
        raise JaxnextError(f"{path}: line 1 is not as CSV has it ({error})") from error


def _width(line: str, delimiter: str) -> int:
    return len(next(csv.reader([line], delimiter=delimiter), []))


def _place(path: Path, header: Sequence[str], column: Column) -> int | None:
    if column.given is not None:
        found = [i for i, name in enumerate(header) if name == column.given]
        if len(found) != 1:
            count = "none" if not found else f"{len(found)} of them"
            raise UsageError(
                f"{column.key}: expected one column {column.given!r} in {path}, found {count} among {some(header)}"
            )
        return found[0]
    names = [name.strip().casefold() for name in header]
    found = [names.index(guess) for guess in column.guesses if guess in names]
    if not found and column.needed:
        raise JaxnextError(
            f"{path}: expected a column of {column.what} ({', '.join(column.guesses)}), found the columns "
            f"{some(header)}; name it with --{column.key}"
        )
    if found and (count := names.count(names[found[0]])) > 1:
        raise JaxnextError(f"{path}: expected one column {header[found[0]]!r}, found {count} of them; rename one")
    return found[0] if found else None


def _columns(
    path: Path, rows: Iterator[list[str]], wanted: Sequence[Column]
) -> tuple[list[str], list[int | None], list[list[str] | None]]:
    """The header, the places of the columns in it, and the columns."""
    header = next(rows, None)
    if header is None:
        raise JaxnextError(f"{path}: expected a header and rows below it, found an empty file")
    places = [_place(path, header, column) for column in wanted]
    columns: list[list[str] | None] = [None if place is None else [] for place in places]
    number = 2
    while chunk := list(itertools.islice(rows, _AT_A_TIME)):
        if set(map(len, chunk)) != {len(header)}:
            number, row = next((i, row) for i, row in enumerate(chunk, start=number) if len(row) != len(header))
            raise JaxnextError(
                f"{path}: expected {len(header)} cells in each row, found {len(row)} in row {number}, "
                f"{printable(row[0])!r}"
            )
        for i, (column, place) in enumerate(zip(columns, places, strict=True)):
            if column is not None and place is not None:
                texts = map(operator.itemgetter(place), chunk)
                # Labels and the like are few: of each text one copy is kept.
                column += texts if i == 0 else map(sys.intern, texts)
        number += len(chunk)
    if number == 2:
        raise JaxnextError(f"{path}: expected rows below the header, found none")
    if columns[0] and "" in columns[0]:
        number = columns[0].index("") + 2
        raise JaxnextError(
            f"{path}: expected {wanted[0].what} in the column {header[places[0] or 0]}, found none in row {number}"
        )
    return header, places, columns
