"""The running statistics of a run computed anew over its training images, before each validation."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxnext.data.image_source import Subset
from jaxnext.data.loader import stream
from jaxnext.data.order import sequential_order
from jaxnext.data.pixels import Pixels
from jaxnext.engine.pipeline import pipelined
from jaxnext.engine.recalibration import blank, farthest, recalibration_order
from jaxnext.engine.state import TrainState
from jaxnext.models.parts import part_of
from jaxnext.training.compiled_steps import variables_of
from jaxnext.training.run import Run
from jaxnext.tree import flatten

FAR = 0.25
"""Standard deviations between running statistics and those computed anew from which it is said."""


def recalibrated(run: Run, state: TrainState, between: Callable[[], None] = lambda: None) -> TrainState | None:
    """Return a state whose running statistics, or their average's, are those of all training images.

    Each image is seen once, at the size of validation, without augmentation and dropout, in batches of an order that
    depends on the seed alone. All batches count alike, as with ``update_bn`` of PyTorch. Parts that are not trained
    keep theirs.

    Args:
        run: whose images they are.
        state: after an epoch's training steps.
        between: called after each batch.

    Returns:
        ``None`` where it was asked to stop on the way.
    """
    before = variables_of(state)
    fixed = {path for path in flatten(before["batch_stats"]) if part_of(path) in run.steps.phase.frozen}
    statistics = blank(before["batch_stats"], fixed)
    variables = before | {"batch_stats": run.steps.replicate(statistics)}
    images = len(run.splits.train)
    source = Subset(run.splits.train, recalibration_order(images, run.config.seed))
    order = sequential_order(images, run.config.batch_size)

    def started(batches: Iterator[Any]) -> Iterator[tuple[int, Any]]:
        nonlocal variables
        for host in batches:
            run.corrupt.record(host.errors)
            variables, sums = run.steps.recalibrate(variables, host, run.asked())
            yield len(host.ids), sums

    threads, rows = run.env.host.cores, run.steps.own_rows
    pixels = Pixels.of(run.config.data)
    with (
        stream(order, None, source, pixels, threads=threads, cache=run.cache, rows=rows) as batches,
        run.bar("batch norms", images) as bar,
    ):
        for count, sums in pipelined(started(batches)):
            jax.block_until_ready(run.processes.note(sums))
            bar.update(count)
            if run.stopping():
                return None
            between()
    anew = variables["batch_stats"]
    _say_distance(run, before["batch_stats"], anew)
    if state.average is None:
        return state._replace(batch_stats=anew)
    return state._replace(average=state.average._replace(batch_stats=anew))


def _say_distance(run: Run, running: Any, anew: Any) -> None:
    found = farthest(*(jax.tree.map(np.asarray, tree) for tree in (running, anew)))
    if found is not None and found.deviations > FAR:
        run.env.console.say(
            f"batch norms: running statistics were {found.deviations:.2g} standard deviations from those of all "
            f"training images in {found.norm}, which are used"
        )
