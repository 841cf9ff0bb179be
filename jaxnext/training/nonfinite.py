"""What a run does with training steps whose loss or gradients are not finite: end, or leave them out.

Such a step has changed nothing but its number (``engine.update``). What the sentence says of its gradients is computed
again from its batch, with the weights as they are when its loss is looked at: those after the step that was sent
meanwhile, if there was one. The sentence says so.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnext.atomic import whole_file
from jaxnext.data.loader import HostBatch
from jaxnext.data.order import BatchPlan
from jaxnext.engine.gradient_norms import norms
from jaxnext.engine.state import TrainState
from jaxnext.errors import JaxnextError, printable
from jaxnext.metrics import NONFINITE, Accumulator
from jaxnext.training.progress import Progress
from jaxnext.training.run import REMEDY, Run

SHOWN = 3
"""Images of a batch that are named in a sentence."""


class Done(NamedTuple):
    """A training step that was sent to the devices."""

    plan: BatchPlan
    sums: dict[str, Any]
    """its metric sums, which may not be there yet"""
    host: HostBatch
    """the rows of its batch that this process has"""

    @property
    def images(self) -> int:
        """Return how many images of the batch this process has not failed to read."""
        return len(self.plan.ids) - len(self.host.errors)


class Guard:
    """Looks at each step of an epoch when it is done."""

    def __init__(self, run: Run, progress: Progress) -> None:
        self.run, self.progress = run, progress
        self.row: int = progress.nonfinite
        """steps just before that were left out in a row"""
        self.alone = False
        """whether this one of several processes ends for a reason of its own, so that no other computes with it"""

    def stops(self, done: Done) -> bool:
        """Wait for a step, and return whether ``count`` will stop the run for it."""
        if NONFINITE in done.sums:
            return bool(done.sums[NONFINITE]) and self.row >= self.run.config.training.max_nonfinite
        return not math.isfinite(float(done.sums["loss"]))

    def count(self, done: Done, sums: Accumulator, state: TrainState) -> None:
        """Wait for a step and add its sums up, without those of a step that is left out.

        Args:
            done: the step.
            sums: of the epoch.
            state: after it, or after the step behind it.

        Raises:
            JaxnextError: its loss is not finite, and the run is to stop, or too many in a row were left out.
        """
        found = {name: np.asarray(value) for name, value in self.run.processes.note(done.sums).items()}
        if not int(found.get(NONFINITE, 0)):
            if int(found["count"]):
                self.row = 0
            loss = sums.add(found)
            if not math.isfinite(loss):
                self._stop(done, f"the loss is {loss}", "", state)
            return
        loss = Accumulator().add(found)
        sums.add({name: value if name == NONFINITE else np.zeros_like(value) for name, value in found.items()})
        self.row += 1
        broken = f"the loss is {loss}" if not math.isfinite(loss) else "a gradient is not finite"
        most = self.run.config.training.max_nonfinite
        if self.row > most:
            self._stop(done, broken, f", after {most} such steps in a row that were left out", state)
        images = _some(_images(self.run, done.plan, lambda index: self.run.splits.train.names[index]))
        self.run.env.warn(f"{broken} in {_place(done.plan)}; the step is left out, of {images}")

    def _stop(self, done: Done, broken: str, after: str, state: TrainState) -> None:
        run, plan = self.run, done.plan
        # Otherwise every process is here, with the same sums.
        together = run.processes.count == 1 or not self.alone
        if together:
            # Images that could not be read are no part of the batch.
            run.corrupt.share(run.processes)
        rate, last = run.rate(self.progress, plan.step), int(np.asarray(state.step))
        later = last > plan.step + 1
        gradients, weights = _gradient_norms(done, state, run) if together else None, norms(state.params)
        file = run.output / "nonfinite.json"
        if run.processes.first:
            source = run.splits.train
            found = {
                "epoch": plan.epoch,
                "step": plan.step + 1,
                "found": broken,
                "learning_rate": rate,
                "weights_after_step": last if later else plan.step,
                "gradient_norms": _plain(gradients),
                "weight_norms": _plain(weights),
                "images": [
                    dict(zip(("path", "mixed_with"), pair, strict=False))
                    for pair in _images(run, plan, source.location)
                ],
            }
            with whole_file(file) as out:
                json.dump(found, out, indent=1, allow_nan=False)
                out.write("\n")
        names = _some(_images(run, plan, lambda index: run.splits.train.names[index]))
        at = f" with the weights after step {last}" if later else ""
        raise JaxnextError(
            f"{broken} in {_place(plan)}, at learning rate {rate:g}{after}; its batch is {names} (all in {file}); "
            f"{_said(gradients, weights, at)}; {run.kept()}; {REMEDY}"
        )


def check_epoch(sums: Accumulator, epoch: int) -> None:
    """Raise where not one training step of an epoch was finite."""
    left_out = int(sums.sums.get(NONFINITE, 0))
    if left_out and not int(sums.sums["count"]):
        raise JaxnextError(
            f"expected training steps with a finite loss and gradients, found none in epoch {epoch}: all {left_out:,} "
            f"were left out; {REMEDY}"
        )


def left_out(run: Run, sums: Accumulator) -> dict[str, int]:
    """Return what an epoch's record has of the steps that were left out; nothing in a run that stops at the first."""
    if run.config.training.on_nonfinite != "skip":
        return {}
    return {"nonfinite_steps": int(sums.sums.get(NONFINITE, 0))}


def summary(record: Mapping[str, float | int]) -> str:
    """Say how many steps of an epoch were left out, as the end of a line; empty where none was."""
    count = int(record.get("nonfinite_steps", 0))
    return f"; {count:,} training {'step' if count == 1 else 'steps'} left out as not finite" if count else ""


def _place(plan: BatchPlan) -> str:
    return f"epoch {plan.epoch}, step {plan.step + 1}"


def _images(run: Run, plan: BatchPlan, name: Any) -> list[tuple[str, ...]]:
    """Return the images of a step that count, each with the one mixed into it, if the batch is mixed."""
    source = run.splits.train
    ids = [index for index in plan.ids.tolist() if source.location(index) not in run.corrupt]
    names = [name(index) for index in ids]
    if not run.steps.mixes(plan.step):
        return [(each,) for each in names]
    return [(each, names[place - 1]) for place, each in enumerate(names)]


def _some(images: list[tuple[str, ...]]) -> str:
    """Name the first images."""
    shown = ", ".join(" mixed with ".join(map(printable, pair)) for pair in images[:SHOWN])
    return f"{shown} and {len(images) - SHOWN:,} more" if len(images) > SHOWN else shown


def _gradient_norms(done: Done, state: TrainState, run: Run) -> dict[str, float] | None:
    """Return them, or ``None`` where a device has no room for the gradients."""
    try:
        return run.steps.gradient_norms(state, done.host, done.plan.step)
    except jax.errors.JaxRuntimeError:
        return None


def _said(gradients: Mapping[str, float] | None, weights: Mapping[str, float], at: str) -> str:
    broken = [part for part, norm in weights.items() if not math.isfinite(norm)]
    already = f", as the weights of {', '.join(broken)} already are" if broken else ""
    if gradients is None:
        return f"the norms of its gradients could not be computed{already}"
    text = ", ".join(f"{part} {norm:.4g}" for part, norm in gradients.items())
    wrong = [part for part, norm in gradients.items() if not math.isfinite(norm)]
    what = f"not finite in {', '.join(wrong)}" if wrong else "all finite"
    return f"the norms of its gradients{at} are {text}, {what}{already}"


def _plain(values: Mapping[str, float] | None) -> dict[str, float | str] | None:
    """Return what JSON can hold, which has no infinity."""
    if values is None:
        return None
    return {name: value if math.isfinite(value) else str(value) for name, value in values.items()}
