"""What a benchmark leaves behind: a table on the terminal and a JSON file."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxnext.atomic import whole_file
from jaxnext.errors import JaxnextError, UsageError


def check_destination(path: Path) -> None:
    """Refuse, before anything is measured, a file that could not be written afterwards.

    Raises:
        UsageError: there is no such folder, or the name is that of a folder.
    """
    if path.is_dir():
        raise UsageError(f"--json {path}: expected the name of a file, found a folder")
    if not path.parent.is_dir():
        raise UsageError(f"--json {path}: expected a file in a folder that exists, found no folder {path.parent}")


def write_json(path: Path, result: dict[str, Any]) -> None:
    """The result as a JSON file, whole or not at all.

    Raises:
        JaxnextError: it cannot be written.
    """
    with whole_file(path) as file:
        json.dump(result, file, indent=2, allow_nan=False)
        file.write("\n")


def failure(error: BaseException) -> str:
    """Why something could not be measured, in one line: what was raised, a lack of memory in plain words."""
    line = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, JaxnextError):
        return line
    kind = type(error).__name__
    if isinstance(error, MemoryError) or kind == "OutOfMemoryError" or "RESOURCE_EXHAUSTED" in line:
        kind = "out of memory"
    return f"{kind}: {line}" if line else kind


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as lines, the first column flush left, the others flush right; a row may end early."""
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows)))]
    lines = []
    for row in rows:
        first, *others = (f"{cell:{'>' if i else '<'}{widths[i]}}" for i, cell in enumerate(row))
        lines.append("  ".join([first, *others]).rstrip())
    return "\n".join(lines)
