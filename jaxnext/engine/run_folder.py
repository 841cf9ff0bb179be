"""The readable files of a run: ``config.yaml``, ``run.json``, ``metrics.jsonl``."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jaxnext.atomic import whole_file
from jaxnext.config.mapping import flat
from jaxnext.config.sections import Config
from jaxnext.config.yaml_text import dump_config, load_config
from jaxnext.errors import UsageError

CONFIG = "config.yaml"
METRICS = "metrics.jsonl"

FREE_ON_RESUME = (
    *("epochs", "workers", "report_every", "logger", "model.max_parameters", "model.remat"),
    *("data.cache", "data.cache_path", "data.verify", "data.on_corrupt", "schedule.stretch", "mix.off_epochs"),
    *("training.hours", "training.on_nonfinite", "training.max_nonfinite"),
    *("checkpoint.every_epochs", "checkpoint.every_minutes", "checkpoint.every_steps"),
    *("training.early_stopping.patience", "training.early_stopping.by", "training.early_stopping.min_delta"),
)
"""Settings that a resumed run may change: they do not alter what the finished epochs computed; options of loggers too.

``data.on_corrupt`` decides only whether the run goes on at an image that cannot be read, ``training.on_nonfinite`` at a
step that is not finite, ``schedule.stretch`` whether it may with other ``epochs``. ``mix.off_epochs`` counts from the
end of the run, which may move: that what is done stays as it was is seen to where the run goes on.
"""


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with whole_file(path) as file:
        file.write(text)


def holds_run(output: Path) -> bool:
    """Return whether a folder holds a run or a ported checkpoint, that is, any checkpoint at all.

    A run that ended before its first one has left nothing that could be lost; its folder may be used again.
    """
    return any(number.name.isdecimal() for number in (output / "checkpoints").glob("*/*"))


def check_new(output: Path) -> None:
    """Refuse a folder that cannot receive a checkpoint of its own.

    Raises:
        UsageError: it holds a run or a checkpoint, is a file, or has no name.
    """
    if not output.name or output.is_file() or holds_run(output):
        raise UsageError(
            f"{output}: expected a new folder, found one that holds a run or a checkpoint; give another --output"
        )


def check(output: Path, config: Config, resume: bool) -> None:
    """Refuse a folder that this run may not use. Changes nothing.

    Raises:
        UsageError: it holds a run and ``resume`` is false, or holds one whose result this config would alter.
    """
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output}: expected a folder for the run, found a file")
    if not holds_run(output):
        return
    if not resume:
        raise UsageError(
            f"{output}: the folder holds a run; go on with it with --resume auto, or give another --output"
        )
    if (output / CONFIG).exists():
        _check_same(output, load_config(output / CONFIG, written=True), config)


def start(output: Path, config: Config) -> None:
    """Write the run's config into its folder."""
    write_text(output / CONFIG, dump_config(config))


def _check_same(output: Path, old: Config, new: Config) -> None:
    before, after = flat(old), flat(new)
    # By repr: an option that was 1 and is true has changed.
    keys = [key for key in before | after if repr(before.get(key)) != repr(after.get(key))]
    keys = [key for key in keys if key not in FREE_ON_RESUME and not key.startswith("logger.")]
    if keys:
        changes = ", ".join(f"{key} was {before.get(key)!r} and is {after.get(key)!r}" for key in keys)
        raise UsageError(
            f"{output}: a resumed run may change epochs and nothing that alters the result, found {changes}"
        )


def write_metrics(output: Path, history: Iterable[Mapping[str, Any]]) -> None:
    """Write ``metrics.jsonl``: one JSON object an epoch, rewritten whole."""
    write_text(output / METRICS, "".join(json.dumps(record) + "\n" for record in history))


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write an indented JSON file."""
    write_text(path, json.dumps(values, indent=2) + "\n")
