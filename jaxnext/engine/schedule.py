"""What a learning-rate schedule is: the files of ``engine/schedules`` are such."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

ScheduleState = Mapping[str, float]
"""What a schedule remembers between epochs: numbers by name, kept in every checkpoint to the bit."""


class Length(NamedTuple):
    """How long a run is."""

    epochs: int
    steps_per_epoch: int
    """training steps"""


class Schedule(Protocol):
    """The learning rate of each step, and what a validation loss does to it. Pure: all it remembers is its state."""

    def start(self, learning_rate: float) -> ScheduleState:
        """Return the state before the first epoch, given the optimizer's learning rate."""
        ...

    def rate(self, state: ScheduleState, step: int, length: Length) -> float:
        """Return the learning rate of a training step, the number of steps before it in the run given."""
        ...

    def after_epoch(self, state: ScheduleState, loss: float) -> ScheduleState:
        """Return the state after an epoch with this validation loss."""
        ...
