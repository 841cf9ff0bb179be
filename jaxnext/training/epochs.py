"""The loop of a run: epoch after epoch of training steps and validation."""

import collections
import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from jaxnext.data.cache.decoded import Cache
from jaxnext.data.loader import HostBatch, default_workers, stream
from jaxnext.data.order import BatchPlan
from jaxnext.data.pixels import Pixels
from jaxnext.data.remarks import lines
from jaxnext.engine.pipeline import DataWait, pipelined
from jaxnext.engine.state import TrainState
from jaxnext.errors import JaxnextError
from jaxnext.metrics import Accumulator
from jaxnext.training.compiled_steps import variables_of
from jaxnext.training.early_stopping import stopped_early
from jaxnext.training.nonfinite import Done, Guard, check_epoch, left_out, summary
from jaxnext.training.phases import changes, entered, phase_of
from jaxnext.training.progress import Progress, Record
from jaxnext.training.recalibration import recalibrated
from jaxnext.training.run import Run
from jaxnext.training.saving import is_due, save_beside, save_epoch, save_last, write_history
from jaxnext.training.time_left import time_left


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
            state, progress = _epoch(run, state, progress, iter(batches))
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


def _epoch(
    run: Run, state: TrainState, progress: Progress, batches: Iterator[HostBatch]
) -> tuple[TrainState, Progress]:
    """Do what is left of one epoch. Asked to stop, return early with a position inside the epoch."""
    plan, clock = run.order.locate(progress.position), run.env.host.clock
    if plan.training:
        state, progress = _train(run, state, progress, batches, plan)
        if run.stopping():
            return state, progress
    begin, wait = clock(), DataWait(clock, progress.data_wait)
    if run.config.training.recalibrate:
        try:
            anew = recalibrated(run, state, lambda: _save_beginning(run, state, progress))
        except JaxnextError:
            _save_what_is_done(run, state, progress)
            raise
        if anew is None:
            return state, progress
        state = anew
    validation = _validate(run, state, progress, batches, wait)
    if validation is None:
        return state, progress
    return state, _finish(run, state, progress, validation, progress.seconds + clock() - begin, wait.seconds)


def _train(
    run: Run, state: TrainState, progress: Progress, batches: Iterator[HostBatch], plan: BatchPlan
) -> tuple[TrainState, Progress]:
    """Do the training steps from ``plan`` to the end of its epoch."""
    sums, clock, begin = Accumulator(progress.sums), run.env.host.clock, run.env.host.clock()
    wait, done = DataWait(clock, progress.data_wait), 0
    guard, pending = Guard(run, progress), None
    rate: float | None = None

    def so_far() -> Progress:
        return dataclasses.replace(
            progress,
            position=progress.position + done,
            sums=sums.sums,
            seconds=progress.seconds + clock() - begin,
            data_wait=wait.seconds,
            nonfinite=guard.row,
        )

    first = (plan.step % run.order.train_steps_per_epoch) * run.config.batch_size
    with run.bar(f"epoch {plan.epoch}/{run.config.epochs}", run.order.train_size, first) as bar:
        while True:
            try:
                host = wait.fetch(batches, pending and pending.sums)
                run.corrupt.record(host.errors)
                run.corrupt.post(run.processes)
            except JaxnextError:
                guard.alone = True
                _count(guard, pending, sums, bar, state)
                _save_what_is_done(run, state, so_far())
                raise
            if (wanted := run.rate(progress, plan.step)) != rate:
                rate = wanted
                leaf = np.asarray(rate, state.learning_rate.dtype)
                state = state._replace(learning_rate=run.steps.replicate(leaf))
            if plan.step == 0:
                begin += run.monitor.first_batch(host)
            state, step_sums = run.steps.train(state, host, plan.step, run.asked())
            _count(guard, pending, sums, bar, state)
            pending, done = Done(plan, step_sums, host), done + 1
            if plan.last or run.stopping():
                break
            # A run that is to stop does so where all processes do, after the next step.
            if is_due(run, progress.position + done) and not guard.stops(pending):
                _count(guard, pending, sums, bar, state)
                pending = None
                save_beside(run, state, so_far(), given_up=True)
            plan = run.order.locate(plan.index + 1)
        _count(guard, pending, sums, bar, state)
    return state, so_far()


def _count(guard: Guard, pending: Done | None, sums: Accumulator, bar: Any, state: TrainState) -> None:
    """Wait for a step's sums, add them up, and stop the run where it is not finite."""
    if pending is None:
        return
    guard.count(pending, sums, state)
    bar.update(pending.images)
    bar.set_postfix_str(f"loss {sums.mean('loss'):.4f}", refresh=False)


def _validate(
    run: Run, state: TrainState, progress: Progress, batches: Iterator[HostBatch], wait: DataWait
) -> Accumulator | None:
    """Return metric sums over the validation images; ``None`` if asked to stop on the way."""
    variables, sums = variables_of(state), Accumulator()

    def started() -> Iterator[tuple[int, Any]]:
        running = None
        for number in range(run.order.val_steps_per_epoch):
            try:
                host = wait.fetch(batches, running)
                run.corrupt.record(host.errors)
            except JaxnextError:
                _save_what_is_done(run, state, progress)
                raise
            if number == 0:
                run.monitor.validation_batch(host)
            running = run.steps.evaluate(variables, host, run.asked())
            yield len(run.order.locate(host.index).ids) - len(host.errors), running

    with run.bar("validation", len(run.splits.validation)) as bar:
        for images, step_sums in pipelined(started()):
            sums.add(run.processes.note(step_sums))
            bar.update(images)
            if run.stopping():
                return None
            _save_beginning(run, state, progress)
    return sums


def _save_beginning(run: Run, state: TrainState, progress: Progress) -> None:
    """Save the position at which validation began, if a checkpoint is due meanwhile."""
    if is_due(run, progress.position):
        save_beside(run, state, progress, given_up=False)


def _save_what_is_done(run: Run, state: TrainState, progress: Progress) -> None:
    """Save before the run ends for want of data, unless it has done nothing."""
    if progress.position:
        save_last(run, state, progress)


def _finish(
    run: Run, state: TrainState, progress: Progress, validation: Accumulator, seconds: float, data_wait: float
) -> Progress:
    """Record an epoch, whose seconds and waits include validation, move the schedule, save, draw."""
    training, epoch = Accumulator(progress.sums), len(progress.history) + 1
    run.corrupt.share(run.processes)
    check_epoch(training, epoch)
    _check_any(run, training, "training")
    _check_any(run, validation, "validation")
    last_step = epoch * run.order.train_steps_per_epoch - 1
    record: Record = {
        "epoch": epoch,
        "train_loss": training.mean("loss"),
        "train_accuracy": training.mean("correct"),
        "val_loss": validation.mean("loss"),
        "val_accuracy": validation.mean("correct"),
        "learning_rate": run.rate(progress, last_step),
        "images_per_second": int(training.sums["count"]) / progress.seconds,
        "data_wait_fraction": data_wait / seconds,
        "seconds": seconds,
        **left_out(run, training),
    }
    run.check_finite("validation loss", record["val_loss"], f"epoch {epoch}", progress)
    best = progress.best is None or record["val_accuracy"] > progress.best["val_accuracy"]
    schedule = run.schedule.after_epoch(progress.schedule, record["val_loss"])
    progress = Progress(
        schedule, epoch * run.order.batches_per_epoch, (*progress.history, record), nonfinite=progress.nonfinite
    )
    if run.processes.first:
        save_epoch(run, state, progress, best)
        left = time_left(seconds, run.config.epochs - epoch)
        run.env.console.say(_line(record, run.config.epochs, best) + left + run.corrupt.summary())
        run.monitor.epoch(state, record, best)
    run.cache.flush()
    run.processes.barrier()
    return progress


def _check_any(run: Run, sums: Accumulator, what: str) -> None:
    """Raise where not one image of an epoch's training or validation could be read."""
    if not int(sums.sums["count"]):
        if run.processes.first:
            run.corrupt.write()
        raise JaxnextError(
            f"expected {what} images, found that not one can be read; {run.corrupt.file} has the reasons"
        )


def _line(record: Record, epochs: int, best: bool) -> str:
    return (
        f"epoch {record['epoch']}/{epochs}: "
        f"train loss {record['train_loss']:.4f}, accuracy {record['train_accuracy']:.2%}; "
        f"val loss {record['val_loss']:.4f}, accuracy {record['val_accuracy']:.2%}{' (best)' if best else ''}; "
        f"learning rate {record['learning_rate']:g}; {record['images_per_second']:.0f} images/s, "
        f"data wait {record['data_wait_fraction']:.1%}{summary(record)}"
    )
