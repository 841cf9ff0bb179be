"""``benchmark.py suite``: other parts, one after another, each in a process of its own, into one file and one table."""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import data, footprint, grouped_conv, model
from benchmarks.report import Say, text_table, where, write_json
from jaxnext.errors import UsageError

HELP = "several of these, one after another"
MODULES = {"model": model, "grouped_conv": grouped_conv, "data": data, "footprint": footprint}
"""Each has ``summary(result)``, its figures for the table, by name."""
SCRIPT = Path(__file__).resolve().parents[1] / "benchmark.py"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this measurement's options."""
    parser.add_argument(
        "parts",
        nargs="*",
        default=["model", "grouped_conv", "data", *(f"footprint --part {name}" for name in footprint.IMAGES)],
        metavar="PART",
        help="what to measure, options and all in quotes: 'model --batch_size 64 --precision bfloat16'",
    )


def run(options: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Measure part after part; write what is there so far into the file after each.

    Returns:
        ``parts``: what each part's own file has, by its words; ``failed``: the words of those that ended otherwise,
        having said why.

    Raises:
        UsageError: a word that is no part.
    """
    for words in options.parts:
        name = (shlex.split(words) or [""])[0]
        if name not in MODULES:
            raise UsageError(f"suite: expected a part of {', '.join(MODULES)}, found {words!r}")
    result: dict[str, Any] = {"command": "suite", "parts": {}, "failed": []}
    for words in options.parts:
        say(f"{words}:")
        with tempfile.TemporaryDirectory(prefix="jaxnext-suite-") as folder:
            file = Path(folder) / "part.json"
            command = [sys.executable, str(SCRIPT), *shlex.split(words), "--json", str(file)]
            status = subprocess.run(command, check=False).returncode
            if status == 0:
                result["parts"][words] = json.loads(file.read_text())
            else:
                say(f"{words} ended with status {status}")
                result["failed"].append(words)
        if options.json is not None:
            write_json(options.json, result)
    return result


def table(result: dict[str, Any]) -> str:
    """Return the figures of all parts."""
    rows, places = [["part", "", ""]], {}
    for words, part in result["parts"].items():
        places[where(part["machine"])] = None
        figures = MODULES[part["command"]].summary(part)
        rows += [[words, what, "-" if value is None else f"{value:,.3g}"] for what, value in figures.items()]
    return "\n\n".join(["", *places, text_table(rows)])
