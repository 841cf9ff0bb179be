"""One epoch of a run: training steps, validation, and what is saved within them."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxnext.data.loader import HostBatch
from jaxnext.data.order import BatchPlan
from jaxnext.engine.pipeline import DataWait, pipelined
from jaxnext.engine.state import TrainState
from jaxnext.errors import JaxnextError
from jaxnext.metrics import Accumulator
from jaxnext.training.compiled_steps import variables_of
from jaxnext.training.epoch_end import finish
from jaxnext.training.nonfinite import Done, Guard
from jaxnext.training.progress import Progress
from jaxnext.training.recalibration import recalibrated
from jaxnext.training.run import Run
from jaxnext.training.saving import is_due, save_beside, save_last


def do_epoch(
    run: Run, state: TrainState, progress: Progress, batches: Iterator[HostBatch]
) -> tuple[TrainState, Progress]:
    """Do what is left of one epoch. Asked to stop, return early with a position inside the epoch.

    Args:
        run: that is trained.
        state: at the position of ``progress``; it is given up.
        progress: so far.
        batches: from that position on.

    Raises:
        JaxnextError: an image cannot be read, a loss is not finite, or what is saved cannot be written.
    """
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
    return state, finish(run, state, progress, validation, progress.seconds + clock() - begin, wait.seconds)


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
