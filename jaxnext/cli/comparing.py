"""What commands that compare runs share: each run's best checkpoint predicts its validation images."""

import dataclasses
import gc
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxnext.cli.invocation import Invocation
from jaxnext.cli.trained_options import TrainedArguments, classifier, over_images

if TYPE_CHECKING:
    from jaxnext.reporting.compared import ComparedRun


def compared_runs(arguments: TrainedArguments, invocation: Invocation) -> Iterator["ComparedRun"]:
    """Yield the runs in ``arguments.checkpoint``, predicted; of each the memory is free before the next."""
    for folder, name in zip(arguments.checkpoint, run_names(arguments.checkpoint), strict=True):
        alone = dataclasses.replace(arguments, checkpoint=[folder])
        with classifier(alone, invocation) as trained:
            from jaxnext.inference.compare import compared_run
            from jaxnext.reporting.run_facts import read_run

            found = compared_run(trained.members[0], read_run(folder), name, **over_images(arguments))
            del trained
        free_memory()
        yield found


def run_names(places: Sequence[Path]) -> list[str]:
    """Return a name for each run: its folder's, or its path where two folders have the same."""
    names = [place.resolve().name for place in places]
    counts = Counter(names)
    return [name if counts[name] == 1 else str(place) for name, place in zip(names, places, strict=True)]


def free_memory() -> None:
    """Let go of compiled programs and of arrays that nothing needs any more."""
    import jax

    jax.clear_caches()
    gc.collect()
