"""A run's folder, read whole."""

import json
from collections.abc import Callable
from pathlib import Path

from jaxnext.config.yaml_text import load_config
from jaxnext.engine.checkpoint import KINDS, Checkpoints
from jaxnext.engine.run_folder import CONFIG, METRICS
from jaxnext.errors import JaxnextError, one_line

DAMAGED_STATUS = 1
"""Exit status where something is damaged."""


def verify(folder: Path, *, say: Callable[[str], None], warn: Callable[[str], None]) -> int:
    """Read every checkpoint of a run, and its config, description and figures.

    Args:
        folder: of a run or of a ported checkpoint.
        say: shows a line to the user.
        warn: the same, for what is damaged.

    Returns:
        the exit status: 0, or 1 where something is damaged.

    Raises:
        JaxnextError: there are no checkpoints.
    """
    if not (folder / "checkpoints").is_dir():
        raise JaxnextError(
            f"{folder}: expected the folder of a run or of a ported checkpoint, found no checkpoints/ in it"
        )
    problems, count = [], 0
    with Checkpoints(folder) as checkpoints:
        for kind in KINDS:
            for number in checkpoints.numbers(kind):
                count += 1
                try:
                    has_digests = checkpoints.verify(kind, number)
                    note = "whole" if has_digests else "can be read; an earlier version wrote it, without digests"
                    say(f"{folder / 'checkpoints' / kind / str(number)}: {note}")
                except JaxnextError as error:
                    problems.append(str(error))
    if not count:
        problems.append(f"{folder}: expected checkpoints, found none that is whole")
    problems += [problem for file in (CONFIG, METRICS, "run.json") if (problem := _unreadable(folder / file))]
    for problem in problems:
        warn(problem)
    return DAMAGED_STATUS if problems else 0


def _unreadable(file: Path) -> str | None:
    """Return what is wrong with a file of the run, where it is there."""
    if not file.exists():
        return None
    try:
        if file.name == CONFIG:
            load_config(file, written=True)
        else:
            text = file.read_text(encoding="utf-8")
            for line in text.splitlines() if file.name == METRICS else [text]:
                json.loads(line)
    except JaxnextError as error:
        return str(error)
    except (OSError, ValueError, RecursionError) as error:
        return f"{file}: the file cannot be read ({one_line(error)})"
    return None
