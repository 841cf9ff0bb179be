"""What a learning-rate schedule is: the files of ``engine/schedules`` are such."""

import dataclasses
import math
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from jaxnext.config.values import require

ScheduleState = Mapping[str, float]
"""What a schedule remembers between epochs: numbers by name, kept in every checkpoint to the bit."""


class Length(NamedTuple):
    """How long a run is."""

    epochs: int
    steps_per_epoch: int
    """training steps"""

    @property
    def steps(self) -> int:
        """Training steps of the run."""
        return self.epochs * self.steps_per_epoch


class Schedule(Protocol):
    """The learning rate of each step, and what a validation loss does to it. Pure: all it remembers is its state.

    One whose rates depend on the number of epochs has an option ``stretch``: where that is false, a run is not gone on
    with to another number.
    """

    def start(self, learning_rate: float) -> ScheduleState:
        """Return the state before the first epoch, given the optimizer's learning rate."""
        ...

    def rate(self, state: ScheduleState, step: int, length: Length) -> float:
        """Return the learning rate of a training step, the number of steps before it in the run given."""
        ...

    def after_epoch(self, state: ScheduleState, loss: float) -> ScheduleState:
        """Return the state after an epoch with this validation loss."""
        ...


@dataclasses.dataclass(frozen=True)
class Planned:
    """The part of a schedule that does not look at losses: its rates follow from the first one and the step."""

    def start(self, learning_rate: float) -> ScheduleState:
        """Return the state before the first epoch, which stays."""
        return {"learning_rate": learning_rate}

    def after_epoch(self, state: ScheduleState, loss: float) -> ScheduleState:
        """Return the same state."""
        del loss
        return state


@dataclasses.dataclass(frozen=True, kw_only=True)
class OverWholeRun(Planned):
    """The same of a schedule whose rates depend on how long the run is."""

    stretch: bool = False
    """true: a run that is resumed with other epochs goes on at the rates that a run of the new length has there; false:
    it is refused, since the rates of the finished epochs would have been others"""


def require_positive(name: str, value: float) -> None:
    """Refuse an option that is not a number above 0."""
    require(math.isfinite(value) and value > 0, f"schedule.{name}", "a number above 0", value)


def require_not_negative(name: str, value: float) -> None:
    """Refuse an option that is not a number of at least 0."""
    require(math.isfinite(value) and value >= 0, f"schedule.{name}", "a number of at least 0", value)
