"""CSV files that a spreadsheet shows as they are."""

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from jaxnext.atomic import whole_file

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[str | float | int]]) -> None:
    """Write a CSV file in UTF-8, whole or not at all; names that are not UTF-8 are written as they are.

    Args:
        path: of the file.
        header: its first row.
        rows: texts, as ``shown_as_text`` has them, and numbers: floats with nine digits, NaN as nothing.

    Raises:
        JaxnextError: it cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    # The module would write a carriage return bare, and refuse it when reading.
    quoting = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in (header, *rows):
        cells = [_cell(value) for value in row]
        (quoting if any("\r" in cell for cell in cells) else writer).writerow(cells)
    with whole_file(path, "wb") as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))


def shown_as_text(text: str) -> str:
    """Return a text with an apostrophe before it where a spreadsheet would take it for a formula: ``=cmd``, ``@sum``.

    Numbers stay. A text that has apostrophes before such a beginning gets one more, so that one can be taken off any.
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _cell(value: str | float | int) -> str:
    if isinstance(value, str):
        return shown_as_text(value)
    if isinstance(value, int):
        return str(value)
    return "" if math.isnan(value) else f"{value:.9g}"
