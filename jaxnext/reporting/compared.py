"""Runs that are compared: which are of one setting, and which were validated on the same images."""

import dataclasses
import functools
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxnext.config.mapping import flat
from jaxnext.config.sections import Config
from jaxnext.errors import UsageError, printable
from jaxnext.reporting.paired import Block
from jaxnext.reporting.predictions import Predictions
from jaxnext.reporting.run_facts import RunFacts

_OF_A_RUN = (
    *("seed", "data.fold", "workers", "model.max_parameters", "model.remat"),
    *("checkpoint.every_epochs", "checkpoint.every_minutes", "checkpoint.every_steps"),
    *("data.cache", "data.cache_path", "data.verify", "data.on_corrupt"),
    *("training.on_nonfinite", "training.max_nonfinite"),
)
"""Settings in which runs of one setting may differ: what is drawn, and what does not alter the result."""

Image = tuple[str, str, int]
"""Name and label of an image, and how many of the same came before it."""


@dataclasses.dataclass(frozen=True, eq=False)
class ComparedRun:
    """One run, and what its best checkpoint says of its validation images."""

    name: str
    """of its folder; of each run another"""
    facts: RunFacts
    parameters: int
    """of its net"""
    names: Sequence[str]
    """of the images, as their source has them"""
    predictions: Predictions
    """of the same images"""
    epoch: int
    """after which the checkpoint was made"""

    @functools.cached_property
    def images(self) -> dict[Image, int]:
        """Return the images, with their places among the predictions."""
        before: Counter[tuple[str, str]] = Counter()
        found: dict[Image, int] = {}
        for place, (name, label) in enumerate(zip(self.names, self.predictions.truth.tolist(), strict=True)):
            key = (name, self.predictions.classes[label])
            found[(*key, before[key])] = place
            before[key] += 1
        return found

    @functools.cached_property
    def block(self) -> frozenset[Image]:
        """Return the images without their order: runs of one block were validated on the same ones."""
        return frozenset(self.images)


class Setting(NamedTuple):
    """Runs that differ in seed or fold alone."""

    name: str
    runs: tuple[ComparedRun, ...]


def settings_of(runs: Sequence[ComparedRun]) -> tuple[Setting, ...]:
    """Return the settings of runs, in the order of their first ones.

    A setting has the name of its runs without ``-seed0-fold1`` and the like, where that is one name and its own.

    Args:
        runs: at least one.

    Raises:
        UsageError: runs that cannot be compared: of other classes, validated on other images, or of one setting, seed
            and fold.
    """
    first = runs[0]
    groups: dict[str, list[ComparedRun]] = {}
    for run in runs:
        _check_classes(run, first)
        groups.setdefault(_setting_key(run.facts.config), []).append(run)
    for group in groups.values():
        _check_draws(group)
    names = _names(list(groups.values()))
    found = tuple(Setting(name, tuple(group)) for name, group in zip(names, groups.values(), strict=True))
    _check_images(found)
    return found


def blocks_of(first: Setting, second: Setting | None = None) -> list[Block]:
    """Return what the runs of one or two settings got right, block by block, images in one order.

    Args:
        first: setting.
        second: setting of the same images; ``None``: one that is always wrong.
    """
    numbers: dict[Image, int] = {}
    found = []
    for block in dict.fromkeys(run.block for run in first.runs):
        # In the order of a run, which is the same each time; that of a set is not.
        images = list(next(run for run in first.runs if run.block == block).images)
        chosen = np.array([numbers.setdefault(image, len(numbers)) for image in images])
        nothing = np.zeros((1, len(images)), bool)
        other = nothing if second is None else _right(second, block, images)
        found.append(Block(chosen, _right(first, block, images), other))
    return found


def _right(setting: Setting, block: frozenset[Image], images: Sequence[Image]) -> NDArray[np.bool_]:
    own = [run for run in setting.runs if run.block == block]
    return np.stack([run.predictions.correct[[run.images[image] for image in images]] for run in own])


def _setting_key(config: Config) -> str:
    values = flat(config)
    return repr(sorted((key, repr(value)) for key, value in values.items() if key not in _OF_A_RUN))


def _names(groups: Sequence[Sequence[ComparedRun]]) -> list[str]:
    short = [{re.sub(r"-seed[0-9]+(-fold[0-9]+)?$", "", run.name) for run in group} for group in groups]
    names = Counter(name for found in short for name in found)
    return [
        next(iter(found)) if len(found) == 1 and names[next(iter(found))] == 1 else ", ".join(run.name for run in group)
        for found, group in zip(short, groups, strict=True)
    ]


def _check_classes(run: ComparedRun, first: ComparedRun) -> None:
    own, expected = run.predictions.classes, first.predictions.classes
    if set(own) == set(expected):
        return
    differing = sorted(set(own) ^ set(expected))
    raise UsageError(
        f"{run.name}: expected the {len(expected)} classes of {first.name}, found {len(own)}; only one of the two has "
        f"{printable(', '.join(differing[:5]))}{' and others' if len(differing) > 5 else ''}"
    )


def _check_draws(group: Sequence[ComparedRun]) -> None:
    """Refuse a run that is another one again: it would count as chance that was not there."""
    seen: dict[tuple[int, int | None], ComparedRun] = {}
    for run in group:
        config = run.facts.config
        key = (config.seed, config.data.fold)
        if key in seen:
            raise UsageError(
                f"{run.name}: expected another setting, seed or fold than those of {seen[key].name}, found the same; "
                "leave one of the two out"
            )
        seen[key] = run


def _check_images(settings: Sequence[Setting]) -> None:
    """Refuse settings of which one has no run on the validation images of another's."""
    for setting in settings:
        own = {run.block for run in setting.runs}
        for other in settings:
            for run in other.runs:
                if run.block not in own:
                    mine = setting.runs[0]
                    common = max(len(run.block & block) for block in own)
                    raise UsageError(
                        f"{setting.name}: expected a run that was validated on the images of {run.name} (the same "
                        f"names and labels), found none: {mine.name} has {len(mine.block):,} images, {run.name} "
                        f"{len(run.block):,}, and at most {common:,} are the same"
                    )
