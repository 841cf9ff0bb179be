"""Learning rate that falls along half a cosine after a linear warm-up.

Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017, without restarts. It is PyTorch's
``SequentialLR`` of ``LinearLR`` and ``CosineAnnealingLR``, stepped after every training step, in closed form.
"""

import dataclasses
import math

from jaxnext.config.values import require
from jaxnext.engine.schedule import Length, OverWholeRun, ScheduleState, require_not_negative
from jaxnext.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Schedule(OverWholeRun):
    """``CosineAnnealingLR`` behind ``LinearLR``, over the steps of the run."""

    warmup_epochs: float = 0.0
    """epochs, or part of one, in which the learning rate rises linearly to the optimizer's"""
    warmup_factor: float = 0.01
    """share of the optimizer's learning rate that the first step of the warm-up has"""
    min_learning_rate: float = 0.0
    """learning rate at the end of the run, one step after the last"""

    def __post_init__(self) -> None:
        require_not_negative("warmup_epochs", self.warmup_epochs)
        fits = 0 < self.warmup_factor <= 1
        require(fits, "schedule.warmup_factor", "a number above 0 and at most 1", self.warmup_factor)
        require_not_negative("min_learning_rate", self.min_learning_rate)

    def start(self, learning_rate: float) -> ScheduleState:
        """Return the state before the first epoch.

        Raises:
            UsageError: the learning rate would not fall.
        """
        if self.min_learning_rate > learning_rate:
            raise UsageError(
                f"schedule.min_learning_rate: expected at most optimizer.learning_rate, {learning_rate:g}, "
                f"found {self.min_learning_rate:g}"
            )
        return super().start(learning_rate)

    def rate(self, state: ScheduleState, step: int, length: Length) -> float:
        """Return the learning rate of a step.

        Raises:
            UsageError: the warm-up is as long as the run.
        """
        highest, lowest = state["learning_rate"], self.min_learning_rate
        warmup = round(self.warmup_epochs * length.steps_per_epoch)
        if warmup >= length.steps:
            raise UsageError(
                f"schedule.warmup_epochs: expected less than the run's {length.epochs} epochs, "
                f"found {self.warmup_epochs:g}"
            )
        if step < warmup:
            return highest * (self.warmup_factor + (1 - self.warmup_factor) * step / warmup)
        done = (step - warmup) / (length.steps - warmup)
        return lowest + (highest - lowest) * (1 + math.cos(math.pi * done)) / 2
