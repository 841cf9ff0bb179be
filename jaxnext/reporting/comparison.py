"""What is to be said of several settings: their figures, and which of the differences are more than chance."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxnext.reporting.compared import ComparedRun, Setting, blocks_of, settings_of
from jaxnext.reporting.figures import figures
from jaxnext.reporting.intervals import LEVEL, RESAMPLES, Figure, wilson
from jaxnext.reporting.paired import (
    POWER,
    McNemar,
    better,
    difference,
    differences,
    images_to_decide,
    mcnemar,
)


class RunFigures(NamedTuple):
    """Of one run: its best epoch's checkpoint on its validation images, and that epoch's training."""

    name: str
    setting: str
    seed: int
    fold: int | None
    images: int
    """validation images"""
    accuracy: Figure
    loss: Figure
    macro_f1: Figure
    train_accuracy: float
    train_loss: float
    parameters: int
    seconds: float
    """of all epochs, validation included"""
    epoch: int
    """the best"""
    epochs: int
    """that were trained"""


class SettingFigures(NamedTuple):
    """Of one setting: means over its runs."""

    name: str
    runs: tuple[RunFigures, ...]
    accuracy: Figure
    by: str
    """what gave the interval: wilson where each image was predicted once, else bootstrap"""

    def mean(self, name: str) -> float:
        """Return the mean of a figure over the runs."""
        values = [getattr(run, name) for run in self.runs]
        return float(np.mean([value.value if isinstance(value, Figure) else value for value in values]))


class Difference(NamedTuple):
    """Of two settings, paired over the same images."""

    first: str
    """the more accurate"""
    second: str
    accuracy: Figure
    """the first's less the second's"""
    only_first: int
    """images that the first setting gets right (more often)"""
    only_second: int
    test: McNemar
    decide: int | None
    """validation images that would decide a difference of this size; ``None`` where there is none"""

    @property
    def distinguishable(self) -> bool:
        """Return whether interval and test both say that it is more than chance."""
        return (self.accuracy.low > 0 or self.accuracy.high < 0) and self.test.p_value < 1 - LEVEL


class Comparison(NamedTuple):
    """All of it."""

    settings: tuple[SettingFigures, ...]
    """the most accurate first"""
    differences: tuple[Difference, ...]
    """of each setting and each less accurate one"""
    images: int
    """that are validated on, each counted once"""
    blocks: int
    """sets of validation images: folds, or splits"""

    @property
    def runs(self) -> tuple[RunFigures, ...]:
        """Return the runs of all settings."""
        return tuple(run for setting in self.settings for run in setting.runs)


def compare(runs: Sequence[ComparedRun], seed: int = 0) -> Comparison:
    """Compare runs; errors as ``settings_of``.

    Args:
        runs: at least one.
        seed: of the bootstraps.
    """
    settings = settings_of(runs)
    found = {setting.name: _setting_figures(setting, seed) for setting in settings}
    # Of equally accurate ones the first given stays first.
    order = sorted(settings, key=lambda setting: -found[setting.name].accuracy.value)
    pairs = [(a, b) for place, a in enumerate(order) for b in order[place + 1 :]]
    images = len(frozenset().union(*(run.block for run in settings[0].runs)))
    blocks = len({run.block for run in settings[0].runs})
    return Comparison(
        tuple(found[setting.name] for setting in order),
        tuple(_difference(first, second, seed) for first, second in pairs),
        images,
        blocks,
    )


def to_json(comparison: Comparison, seed: int = 0) -> dict[str, Any]:
    """Return all figures as plain JSON values; ``seconds`` is all that depends on the clock."""
    return {
        "confidence_level": LEVEL,
        "power": POWER,
        "bootstrap": {"resamples": RESAMPLES, "seed": seed},
        "images": comparison.images,
        "sets_of_images": comparison.blocks,
        "settings": [
            {
                "name": setting.name,
                "val_accuracy": _figure(setting.accuracy) | {"interval": setting.by},
                "val_loss": setting.mean("loss"),
                "macro_f1": setting.mean("macro_f1"),
                "train_accuracy": _number(setting.mean("train_accuracy")),
                "train_loss": _number(setting.mean("train_loss")),
                "parameters": setting.runs[0].parameters,
                "seconds": setting.mean("seconds"),
                "runs": [run.name for run in setting.runs],
            }
            for setting in comparison.settings
        ],
        "runs": [
            {
                "name": run.name,
                "setting": run.setting,
                "seed": run.seed,
                "fold": run.fold,
                "images": run.images,
                "val_accuracy": _figure(run.accuracy) | {"interval": "wilson"},
                "val_loss": _figure(run.loss) | {"interval": "bootstrap"},
                "macro_f1": _figure(run.macro_f1) | {"interval": "bootstrap"},
                "train_accuracy": _number(run.train_accuracy),
                "train_loss": _number(run.train_loss),
                "parameters": run.parameters,
                "seconds": run.seconds,
                "best_epoch": run.epoch,
                "epochs": run.epochs,
            }
            for run in comparison.runs
        ],
        "differences": [
            {
                "first": each.first,
                "second": each.second,
                "accuracy": _figure(each.accuracy) | {"interval": "bootstrap"},
                "only_first": each.only_first,
                "only_second": each.only_second,
                "test": "exact" if each.test.exact else "chi-square",
                "statistic": each.test.statistic,
                "p_value": each.test.p_value,
                "distinguishable": each.distinguishable,
                "images_to_decide": each.decide,
            }
            for each in comparison.differences
        ],
    }


def _setting_figures(setting: Setting, seed: int) -> SettingFigures:
    blocks = blocks_of(setting)
    count = sum(len(block.images) for block in blocks)
    once = all(len(block.first) == 1 for block in blocks) and count == len(
        np.unique(np.concatenate([block.images for block in blocks]))
    )
    accuracy = wilson(sum(int(block.first.sum()) for block in blocks), count) if once else difference(blocks, seed)
    runs = tuple(_run_figures(run, setting.name, seed) for run in setting.runs)
    return SettingFigures(setting.name, runs, accuracy, "wilson" if once else "bootstrap")


def _run_figures(run: ComparedRun, setting: str, seed: int) -> RunFigures:
    found, config = figures(run.predictions, seed).overall, run.facts.config
    history = run.facts.history
    # A checkpoint that is older or newer than the records is of none of them.
    record = next((record for record in history if record["epoch"] == run.epoch), {})
    return RunFigures(
        run.name,
        setting,
        config.seed,
        config.data.fold,
        len(run.predictions),
        found["top1_accuracy"],
        found["log_loss"],
        found["macro_f1"],
        record.get("train_accuracy", math.nan),
        record.get("train_loss", math.nan),
        run.parameters,
        sum(record["seconds"] for record in history),
        run.epoch,
        len(history),
    )


def _difference(first: Setting, second: Setting, seed: int) -> Difference:
    blocks = blocks_of(first, second)
    more, less = better(blocks)
    return Difference(
        first.name,
        second.name,
        difference(blocks, seed),
        more,
        less,
        mcnemar(more, less),
        images_to_decide(np.concatenate([differences(block) for block in blocks])),
    )


def _figure(figure: Figure) -> dict[str, float | None]:
    return {name: _number(value) for name, value in figure._asdict().items()}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
