"""What a run leaves in its folder on the way: checkpoints, metrics and curves."""

import math
from typing import Any

import jax
import numpy as np

from jaxnext.data.image_source import fingerprint
from jaxnext.engine import run_folder
from jaxnext.engine.checkpoint import Meta
from jaxnext.engine.ema import Average
from jaxnext.engine.state import TrainState
from jaxnext.errors import JaxnextError
from jaxnext.training.compiled_steps import variables_of
from jaxnext.training.progress import Progress
from jaxnext.training.run import Run
from jaxnext.tree import PARTS
from jaxnext.types import Variables


def save_epoch(run: Run, state: TrainState, progress: Progress, best: bool) -> None:
    """Write the checkpoints, metrics and curves after an epoch; ``best``: of all epochs it is."""
    run.check_there()
    epoch, every = len(progress.history), run.config.checkpoint.every_epochs
    kinds = ["best"] * best + ["every"] * bool(every and epoch % every == 0)
    run.writer.wait()
    variables, meta = model_of(state), _meta(run, progress)
    for kind in kinds:
        run.checkpoints.save_model(kind, epoch, variables, meta)
    save_last(run, state, progress)
    write_history(run, progress)


def save_last(run: Run, state: TrainState, progress: Progress) -> None:
    """Save all that the run needs to go on from here; of several processes the first one does.

    Raises:
        JaxnextError: the weights are not finite, although the loss of their step was; or the folder is gone.
    """
    if not run.processes.first:
        return
    run.check_there()
    run.writer.wait()
    run.corrupt.write()
    _write_last(run, model_of(state), rest_of(state), progress)
    run.due.saved(progress.position)


def save_beside(run: Run, state: TrainState, progress: Progress, *, given_up: bool) -> None:
    """Begin what ``save_last`` does and let the run go on; only the first process calls it, where it ``is_due``.

    Args:
        run: that is saved.
        state: at the position of ``progress``.
        progress: so far, the last step included.
        given_up: whether a step will overwrite the state, which is then copied first.

    Raises:
        JaxnextError: the one before could not be written, or the folder is gone.
    """
    run.check_there()
    run.corrupt.take_up(run.processes)
    run.corrupt.write()
    # The arrays of one device are those of all, and of this process alone: no other has to take part.
    kept = jax.tree.map(lambda leaf: leaf.addressable_data(0), (variables_of(state), rest_of(state)))
    variables, rest = _copied(kept) if given_up else kept
    run.due.saved(progress.position)
    run.writer.start(lambda: _write_last(run, jax.tree.map(np.asarray, variables), rest, progress))


def is_due(run: Run, position: int) -> bool:
    """Return whether to ``save_beside`` at a position; of several processes the first one is asked.

    Raises:
        JaxnextError: the last such save has failed.
    """
    if not run.processes.first:
        return False
    run.writer.check()
    return not run.writer.busy and run.due.now(position)


def _copied(tree: Any) -> Any:
    """Return a copy on the host: on the device it would take memory that the next step may need."""
    for leaf in jax.tree.leaves(tree):
        leaf.copy_to_host_async()
    return jax.tree.map(np.array, tree)


def _write_last(run: Run, variables: Variables, rest: Any, progress: Progress) -> None:
    """Write what ``model_of`` and ``rest_of`` have given as ``last``, the latter on the device or the host."""
    rest = jax.tree.map(np.asarray, rest)
    trained = None if rest[2] is None else rest[2][1:]
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((variables, trained))):
        # The step's own loss was finite, its update was not: the next loss would say so, too late.
        run.check_finite("network", math.nan, f"epoch {len(progress.history) + 1}", progress)
    saved = {"progress": progress.to_json(), "data": run.data()}
    run.checkpoints.save_last(progress.position, variables, rest, saved, _meta(run, progress))


def write_history(run: Run, progress: Progress) -> None:
    """Write ``metrics.jsonl`` and the curves, from the records of the finished epochs."""
    if not run.processes.first:
        return
    run_folder.write_metrics(run.output, progress.history)
    run.monitor.curves(progress.history)


def check_saved(run: Run, progress: Progress) -> None:
    """Refuse to call a run done whose folder, or best checkpoint, has been removed meanwhile.

    Raises:
        JaxnextError: names it.
    """
    if not run.processes.first or progress.best is None:
        return
    run.check_there()
    best = run.checkpoints.root / "best"
    if not any(number.name.isdecimal() for number in best.glob("*")):
        raise JaxnextError(f"{best}: expected the run's best checkpoint, found that it has been removed")


def model_of(state: TrainState) -> Variables:
    """Return the variables that are validated and saved, on the host."""
    return jax.tree.map(np.asarray, variables_of(state))


def rest_of(state: TrainState) -> Any:
    """Return what a run needs to go on beside its step, rate, key and ``model_of``; ``with_rest`` puts it back.

    Returns:
        the optimizer's state, the gradients gathered for the next update, and, where what is saved as the model is a
        moving average, its count and the variables that are trained; leaves of what a run does not have are missing.
    """
    average = state.average
    trained = None if average is None else (average.updates, state.params, state.batch_stats)
    return state.optimizer, state.accumulated, trained


def with_rest(state: TrainState, rest: Any) -> TrainState:
    """Return a state of ``model_of``'s variables with the rest of it, as ``rest_of`` has it."""
    moments, gathered, trained = rest
    state = state._replace(optimizer=moments, accumulated=gathered)
    if trained is None:
        return state
    updates, params, batch_stats = trained
    average = Average(updates, state.params, state.batch_stats)
    return state._replace(params=params, batch_stats=batch_stats, average=average)


def _meta(run: Run, progress: Progress) -> Meta:
    """Return what a checkpoint of this run says of itself."""
    trained = tuple(part for part in PARTS if part != "attention" or run.model.attention is not None)
    accuracy = float(progress.history[-1]["val_accuracy"]) if progress.history else None
    return Meta(run.config, run.classes, trained, len(progress.history), accuracy, fingerprint(run.splits.validation))
