"""What went where: ``sorted.csv`` in the folder that was sorted into, and what is needed to go on after a kill.

``sorted.csv`` has a row for each image in its new place. What a batch is about to place is written before, to a file of
its own, so that whatever a kill leaves is known: of each image in that file the system tells how far it came.
"""

import contextlib
import csv
import io
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxnext.atomic import whole_file
from jaxnext.errors import JaxnextError, printable
from jaxnext.reporting.csv_table import shown_as_text

TABLE, SETTINGS, ERRORS = "sorted.csv", "sorted.json", "sorted.csv.errors.csv"
"""Names of the table, of the file with the options of the sort, and of the list of images that were not sorted."""
_BEGUN = ".sorted.begun.csv"
UNDOING = "undoing"
"""Key of the settings that is there while an undo is under way."""


class Placement(NamedTuple):
    """An image, and where it was put."""

    source: str
    """full path; in an archive the archive's path and that of the image in it"""
    destination: str
    """path below the folder that was sorted into"""
    label: str
    """the predicted class, also of an image in the folder of unknown ones"""
    probability: str
    """of that class, with nine digits"""
    mode: str
    """copy, link or move"""
    sha256: str
    """of the image file, by which a copy is known"""


COLUMNS = Placement._fields


class Journal:
    """The placements of a folder."""

    def __init__(self, folder: Path) -> None:
        """Take the folder's path; nothing is read."""
        self.folder = folder
        self.table = folder / TABLE
        self._begun = folder / _BEGUN

    def read(self) -> list[Placement]:
        """Return the rows of the table, none where there is no table. A row that was cut off by a kill is taken off.

        Raises:
            JaxnextError: there is another file of that name.
        """
        if not self.table.exists():
            return []
        rows, is_whole = _parse(self.table)
        if not is_whole:
            self.write(rows)
        return rows

    def begun(self) -> list[Placement]:
        """Return what was about to be placed when a process ended; none where it ended as it should."""
        return _parse(self._begun)[0] if self._begun.exists() else []

    def begin(self, placements: Iterable[Placement]) -> None:
        """Write down what is about to be placed."""
        _write(self._begun, placements)

    def append(self, placements: Sequence[Placement]) -> None:
        """Add rows for what has been placed; ``JaxnextError`` where they cannot be written."""
        new = not self.table.exists()
        try:
            with self.table.open("ab") as file:
                file.write((_line(COLUMNS) if new else b"") + b"".join(map(_row, placements)))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise JaxnextError(f"{self.table}: the file cannot be written ({error.strerror or error})") from error

    def end(self) -> None:
        """Forget what was about to be placed: all of it has its row, or stays where it is."""
        self._begun.unlink(missing_ok=True)

    def write(self, placements: Iterable[Placement]) -> None:
        """Write the whole table anew."""
        _write(self.table, placements)

    def settings(self) -> dict[str, Any] | None:
        """Return the options of the sort; ``None`` where there was none.

        Raises:
            JaxnextError: the file cannot be read.
        """
        path = self.folder / SETTINGS
        try:
            found = json.loads(path.read_text("utf-8"))
            if isinstance(found, dict):
                return found
            raise ValueError("its options are missing")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            raise JaxnextError(f"{path}: expected the options of a sort, found another file ({error})") from error

    def write_settings(self, values: dict[str, Any]) -> None:
        """Write the options of the sort."""
        with whole_file(self.folder / SETTINGS) as file:
            file.write(json.dumps(values, indent=2) + "\n")

    def remove(self) -> None:
        """Remove all files of the journal, and what a kill has left of their writing."""
        for name in (TABLE, _BEGUN, SETTINGS):
            for file in (name, f".{name}.part"):
                (self.folder / file).unlink(missing_ok=True)


def check_settings(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse to go on with other options than those that a sort was begun with.

    Raises:
        JaxnextError: an undo is not finished, or an option differs; names it.
    """
    if before.get(UNDOING):
        raise JaxnextError(f"{folder}: taking this sort back was cut off; finish it with --undo {folder}")
    for key in sorted({*before, *now}):
        if before.get(key) != now.get(key):
            raise JaxnextError(
                f"{folder}: expected {key} {_shown(before.get(key))}, with which this sort was begun, found "
                f"{_shown(now.get(key))}; give the same, or another --output"
            )


def _shown(value: Any) -> str:
    return printable(value if isinstance(value, str) else json.dumps(value))


def _write(path: Path, placements: Iterable[Placement]) -> None:
    with whole_file(path, "wb") as file:
        file.write(_line(COLUMNS) + b"".join(map(_row, placements)))
        file.flush()
        os.fsync(file.fileno())


def _row(placement: Placement) -> bytes:
    return _line([shown_as_text(cell) for cell in placement])


def _line(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    # The module would write a carriage return bare, and refuse it when reading.
    quoting = csv.QUOTE_ALL if any("\r" in cell for cell in cells) else csv.QUOTE_MINIMAL
    csv.writer(text, lineterminator="\n", quoting=quoting).writerow(cells)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _parse(path: Path) -> tuple[list[Placement], bool]:
    """Return a table's rows, and whether the last one is whole."""
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    records: list[list[str]] = []
    with contextlib.suppress(csv.Error):
        records.extend(csv.reader(io.StringIO(text, newline="")))
    is_whole = text.endswith("\n") and all(len(record) == len(COLUMNS) for record in records)
    first, rows = (records[0] if records else []), records[1 : None if is_whole else -1]
    if not _is_head(first, is_whole, len(records)) or any(len(row) != len(COLUMNS) for row in rows):
        raise JaxnextError(
            f"{path}: expected the table of a sort, with the columns {','.join(COLUMNS)}, found another file; move it "
            "away, or sort into another folder"
        )
    found = [Placement(*map(_as_it_was, row)) for row in rows]
    for row in found:
        # Taking a sort back moves what is there.
        if {"", ".", ".."} & set(row.destination.split("/")):
            raise JaxnextError(
                f"{path}: expected places in the folder that was sorted into, found {row.destination!a}; it is "
                "not as a sort has written it"
            )
    return found, is_whole


def _is_head(first: Sequence[str], is_whole: bool, count: int) -> bool:
    """Whether a table begins as it should; one that was cut off before its first row has part of its columns."""
    if tuple(first) == COLUMNS:
        return True
    return count <= 1 and not is_whole and ",".join(COLUMNS).startswith(",".join(first))


def _as_it_was(cell: str) -> str:
    """Take off the apostrophe that ``shown_as_text`` has given."""
    return cell[1:] if cell.startswith("'") and shown_as_text(cell[1:]) != cell[1:] else cell
