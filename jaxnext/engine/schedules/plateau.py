"""Learning rate that falls when the validation loss stops falling, as PyTorch's ``ReduceLROnPlateau``.

Optax's ``reduce_on_plateau`` reduces when the count of bad epochs *equals* the patience, PyTorch when it *exceeds*
it; PyTorch also leaves out a reduction of at most 1e-8 and treats NaN as no improvement. This is PyTorch's.
"""

import dataclasses
import math

from jaxnext.config.values import require
from jaxnext.engine.schedule import Length, ScheduleState

SMALLEST_CHANGE = 1e-8
"""A reduction that is not larger than this is not made (PyTorch's ``eps``)."""


@dataclasses.dataclass(frozen=True)
class Schedule:
    """``ReduceLROnPlateau`` on the validation loss (mode min, relative threshold)."""

    factor: float = 0.1
    """the learning rate is multiplied by this when the validation loss has stopped falling"""
    patience: int = 3
    """epochs without improvement that are tolerated; the next one reduces"""
    threshold: float = 1e-4
    """relative fall of the loss that counts as an improvement"""
    cooldown: int = 0
    """epochs after a reduction in which nothing is counted"""
    min_learning_rate: float = 0.0
    """the learning rate is never reduced below this"""

    def __post_init__(self) -> None:
        require(0 < self.factor < 1, "schedule.factor", "a number between 0 and 1", self.factor)
        require(self.patience >= 0, "schedule.patience", "at least 0", self.patience)
        fits = math.isfinite(self.threshold) and 0 <= self.threshold < 1
        require(fits, "schedule.threshold", "from 0 to below 1", self.threshold)
        require(self.cooldown >= 0, "schedule.cooldown", "at least 0", self.cooldown)
        low = self.min_learning_rate
        require(math.isfinite(low) and low >= 0, "schedule.min_learning_rate", "a number of at least 0", low)

    def start(self, learning_rate: float) -> ScheduleState:
        """Return the state before the first epoch."""
        return {"learning_rate": learning_rate, "best": float("inf"), "bad_epochs": 0, "cooldown": 0}

    def rate(self, state: ScheduleState, step: int, length: Length) -> float:
        """Return the learning rate of a step: that of its epoch."""
        del step, length
        return state["learning_rate"]

    def after_epoch(self, state: ScheduleState, loss: float) -> ScheduleState:
        """Return the state after an epoch.

        Args:
            state: before the epoch's validation.
            loss: the epoch's validation loss; NaN is no improvement.
        """
        learning_rate, best, bad_epochs, cooldown = (
            state[name] for name in ("learning_rate", "best", "bad_epochs", "cooldown")
        )
        if loss < best * (1 - self.threshold):
            best, bad_epochs = loss, 0
        else:
            bad_epochs += 1
        if cooldown > 0:
            cooldown, bad_epochs = cooldown - 1, 0
        if bad_epochs > self.patience:
            reduced = max(learning_rate * self.factor, self.min_learning_rate)
            if learning_rate - reduced > SMALLEST_CHANGE:
                learning_rate = reduced
            cooldown, bad_epochs = self.cooldown, 0
        return {"learning_rate": learning_rate, "best": best, "bad_epochs": bad_epochs, "cooldown": cooldown}
