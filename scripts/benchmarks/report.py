"""What a benchmark takes and leaves behind: options, notes and a table on the terminal, a JSON file."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxnext.atomic import whole_file
from jaxnext.errors import JaxnextError, UsageError

if TYPE_CHECKING:
    from jaxnext.config.sections import Config

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
PRECISIONS = ("float32", "bfloat16")

Say = Callable[[str], None]


def count(text: str) -> int:
    """Return a whole number of at least 1; the type of an option."""
    value = int(text) if text.isascii() and text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text!r}")
    return value


def shaped(config: "Config", options: argparse.Namespace) -> "Config":
    """Return a config with the precision, the batch and image size and the remat of the options of these names."""
    return dataclasses.replace(
        config,
        batch_size=options.batch_size,
        precision=options.precision,
        data=dataclasses.replace(config.data, image_size=options.image_size),
        model=dataclasses.replace(config.model, remat=options.remat or config.model.remat),
    )


def note(line: str) -> None:
    """Show a line to the user on standard error."""
    print(line, file=sys.stderr, flush=True)


def check_destination(file: str) -> None:
    """Refuse, before anything is measured, a file that could not be written afterwards.

    Raises:
        UsageError: there is no such folder, or the name is that of a folder.
    """
    path = Path(file)
    if not file or path.is_dir():
        raise UsageError(f"--json {file}: expected the name of a file, found {'a folder' if file else 'none'}")
    if not path.parent.is_dir():
        raise UsageError(f"--json {path}: expected a file in a folder that exists, found no folder {path.parent}")


def write_json(file: str | Path, result: dict[str, Any]) -> None:
    """Write the result as a JSON file, whole or not at all.

    Raises:
        JaxnextError: it cannot be written.
    """
    with whole_file(Path(file)) as opened:
        json.dump(result, opened, indent=2, allow_nan=False)
        opened.write("\n")


def failure(error: BaseException) -> str:
    """Return why something could not be measured, in one line: what was raised, a lack of memory in plain words."""
    line = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, JaxnextError):
        return line
    kind = type(error).__name__
    if isinstance(error, MemoryError) or kind == "OutOfMemoryError" or "RESOURCE_EXHAUSTED" in line:
        kind = "out of memory"
    return f"{kind}: {line}" if line else kind


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines, the first column flush left, the others flush right; a row may end early."""
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows)))]
    lines = []
    for row in rows:
        first, *others = (f"{cell:{'>' if i else '<'}{widths[i]}}" for i, cell in enumerate(row))
        lines.append("  ".join([first, *others]).rstrip())
    return "\n".join(lines)


def where(machine: dict[str, Any]) -> str:
    """Return the machine and the versions of a result in two lines."""
    device = f"{machine['gpu']}, driver {machine['driver']}, " if machine["gpu"] else ""
    found = {name: version for name, version in machine["versions"].items() if version is not None}
    versions = ", ".join(f"{name} {version}" for name, version in found.items())
    return f"{device}{machine['cpu']}, {machine['cores']} cores\n{versions}"
