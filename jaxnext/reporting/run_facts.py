"""What a run's folder says of it: config, epochs, images that could not be read, versions and devices."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxnext.config.sections import Config
from jaxnext.config.yaml_text import load_config
from jaxnext.data.bad_image import BadImage
from jaxnext.data.corrupt_list import read_corrupt
from jaxnext.engine.run_folder import CONFIG, METRICS
from jaxnext.errors import JaxnextError


@dataclasses.dataclass(frozen=True)
class RunFacts:
    """Of one run."""

    config: Config
    history: Sequence[dict[str, Any]]
    """records of its epochs"""
    description: dict[str, Any]
    """``run.json``"""
    corrupt: Sequence[BadImage]
    """images that could not be read"""


def read_run(folder: Path) -> RunFacts:
    """Read the files of a run.

    Raises:
        JaxnextError: a file is missing, or is none that a run wrote; names it.
    """
    history = [_object(folder / METRICS, line) for line in _text(folder / METRICS).splitlines()]
    if not history:
        raise JaxnextError(f"{folder / METRICS}: expected the records of a run's epochs, found none")
    needed = {"epoch", "learning_rate", "images_per_second", "data_wait_fraction", "seconds"}
    needed |= {f"{split}_{name}" for split in ("train", "val") for name in ("loss", "accuracy")}
    for record in history:
        if lacking := sorted(needed - record.keys()):
            raise JaxnextError(f"{folder / METRICS}: expected {', '.join(lacking)} in every record, found {record}")
        if others := [name for name in sorted(needed) if not isinstance(record[name], int | float)]:
            shown = f"{others[0]} {record[others[0]]!r:.80}"
            raise JaxnextError(f"{folder / METRICS}: expected numbers in every record, found {shown}")
    description = _object(folder / "run.json", _text(folder / "run.json"))
    corrupt = folder / "corrupt.csv"
    return RunFacts(
        load_config(folder / CONFIG, written=True),
        history,
        description,
        read_corrupt(corrupt) if corrupt.exists() else (),
    )


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise JaxnextError(f"{path}: expected a file of a finished epoch of a run, found none ({reason})") from error


def _object(path: Path, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise JaxnextError(f"{path}: expected JSON, as a run writes it, found {line[:80]!r}") from error
    if not isinstance(found, dict):
        raise JaxnextError(f"{path}: expected a JSON object, as a run writes it, found {line[:80]!r}")
    return found
