"""The loop of a run: epoch after epoch, and what changes between them."""

import collections
import json
from collections.abc import Mapping

from jaxnext.data.cache.decoded import Cache
from jaxnext.data.loader import default_workers, stream
from jaxnext.data.pixels import Pixels
from jaxnext.data.remarks import lines
from jaxnext.engine.state import TrainState
from jaxnext.training.early_stopping import stopped_early
from jaxnext.training.epoch import do_epoch
from jaxnext.training.phases import changes, entered, phase_of
from jaxnext.training.progress import Progress
from jaxnext.training.run import Run
from jaxnext.training.saving import check_saved, save_last, write_history


def train_epochs(run: Run, state: TrainState, progress: Progress, verified: bool = True) -> Progress:
    """Train epoch after epoch to the end of the run, or until asked to stop.

    Args:
        run: that is trained.
        state: at the position of ``progress``.
        progress: so far.
        verified: false where the run was asked to stop before its first step.

    Returns:
        where the run stands.
    """
    env = run.env
    run.due.saved(progress.position)
    if progress.history:
        # A run that was killed between its last checkpoint and these files has them again.
        write_history(run, progress)
    if not _done(run, progress) and verified:
        state = _compile(run, state, progress)
        first = True
        while not _done(run, progress) and not run.stopping():
            state = _enter(run, state, progress)
            state, progress = _epochs(run, state, progress, first)
            first = False
    if not _done(run, progress):
        run.corrupt.share(run.processes)
        save_last(run, state, progress)
        run.cache.flush()
        run.processes.barrier()
        run.limit.agree(env.stop)
        if not run.limit.reached:
            env.console.say(f"stopped and saved; go on with: {env.console.resume_command}")
    check_saved(run, progress)
    _say_end(run, progress)
    return progress


def _done(run: Run, progress: Progress) -> bool:
    """Return whether nothing is left to be trained."""
    if progress.position == len(run.order):
        return True
    return stopped_early(progress.history, run.config.training.early_stopping) is not None


def _say_end(run: Run, progress: Progress) -> None:
    """Say that a run is done, and why where that is before its last epoch; nothing where it was interrupted."""
    line, best, after = "done", progress.best, ""
    if progress.position < len(run.order):
        why = stopped_early(progress.history, run.config.training.early_stopping)
        if why is None:
            if not run.limit.reached:
                return
            why = f"training.hours ({run.config.training.hours:g}) are over or too short for another"
            after = f"; go on with: {run.env.console.resume_command}"
        line += f" after {len(progress.history)} of {run.config.epochs} epochs, as {why}"
    if best:
        line += f": best validation accuracy {best['val_accuracy']:.2%} in epoch {best['epoch']}"
    where = f"checkpoints, metrics and curves are in {run.output}"
    run.env.console.say(f"{line}; {where}{run.corrupt.summary()}{after}")


def _compile(run: Run, state: TrainState, progress: Progress) -> TrainState:
    """Compile what the phase needs, in which the next step is; return the state in which it begins."""
    env, epochs = run.env, progress.position // run.order.batches_per_epoch
    phase = phase_of(run.config, epochs)
    if run.config.model.frozen(max(progress.position - 1, 0) // run.order.batches_per_epoch) != phase.frozen:
        state = entered(state, run.optimizer, phase.frozen, run.steps.mesh)
    run.steps.enter(phase)
    env.console.say(run.steps.compile(state, env.compilation_cache, env.host.clock))
    env.host.step_memory(run.steps.temporary_memory())
    run.processes.barrier()
    return state


def _enter(run: Run, state: TrainState, progress: Progress) -> TrainState:
    """Begin another phase, if the next epoch is of one."""
    phase, before = phase_of(run.config, progress.position // run.order.batches_per_epoch), run.steps.phase
    if phase == before:
        return state
    trained = [part for part in before.frozen if part not in phase.frozen]
    said = [f"{', '.join(trained)} trained too"] * bool(trained)
    said += [f"training images {phase.size[0]}x{phase.size[1]}"] * (phase.size != before.size)
    run.env.console.say(f"from epoch {len(progress.history) + 1} on: {'; '.join(said)}")
    return _compile(run, state, progress)


def _workers(run: Run, cache: Cache) -> int:
    """Return how many worker processes are asked for, or suit the machine and what the cache holds by now."""
    if run.config.workers is not None:
        return run.config.workers
    return default_workers(run.env.host.cores, run.splits.train, cache)


def _epochs(run: Run, state: TrainState, progress: Progress, first: bool) -> tuple[TrainState, Progress]:
    """Train up to the end, a stop, another phase, or an epoch after which another number of workers suits.

    After the ``first`` epoch of a process it is said how many images were not taken whole.
    """
    epochs = progress.position // run.order.batches_per_epoch
    sizes = Pixels.of(run.config.data), Pixels.in_training(run.config.data, epochs)
    cache = run.cache.only([(run.splits.validation, sizes[0]), (run.splits.train, sizes[1])])
    workers, end = _workers(run, cache), next(n for n in changes(run.config) if n > epochs)
    end *= run.order.batches_per_epoch
    with stream(
        run.order,
        run.splits.train,
        run.splits.validation,
        sizes[0],
        start=progress.position,
        workers=workers,
        threads=run.env.host.cores,
        cache=cache,
        rows=run.steps.own_rows,
        train_pixels=sizes[1],
        end=end,
    ) as batches:
        while True:
            state, progress = do_epoch(run, state, progress, iter(batches))
            stopping = run.stopping()
            if first and not stopping:
                _say_remarks(run, batches.remarks)
                first = False
            if stopping or progress.position == end or _done(run, progress) or _workers(run, cache) != workers:
                return state, progress
            if run.limit.too_short_for(max(record["seconds"] for record in progress.history)):
                return state, progress


def _say_remarks(run: Run, own: Mapping[str, int]) -> None:
    """Say what is to be said of the images that all processes have decoded."""
    counts: collections.Counter[str] = collections.Counter()
    for text in run.processes.allgather(json.dumps(own)):
        counts.update(json.loads(text))
    for line in lines(counts):
        run.env.console.say(line)
