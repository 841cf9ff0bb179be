"""Learning rate that falls by a factor after some epochs, as PyTorch's ``StepLR`` and ``MultiStepLR``."""

import dataclasses

from jaxnext.config.values import require
from jaxnext.engine.schedule import Length, Planned, ScheduleState


@dataclasses.dataclass(frozen=True)
class Schedule(Planned):
    """``StepLR``, or ``MultiStepLR`` where ``milestones`` are given."""

    every: int = 30
    """epochs after which the learning rate is reduced, again and again"""
    milestones: tuple[int, ...] | None = None
    """numbers of epochs after which it is reduced, such as [30, 60, 80]; null: as schedule.every says"""
    factor: float = 0.1
    """the learning rate is multiplied by this each time"""

    def __post_init__(self) -> None:
        require(self.every >= 1, "schedule.every", "at least 1", self.every)
        milestones = self.milestones
        fits = milestones is None or (len(milestones) > 0 and min(milestones) >= 1)
        found = milestones if milestones is None else list(milestones)
        require(fits, "schedule.milestones", "null or numbers of epochs, each at least 1", found)
        require(0 < self.factor < 1, "schedule.factor", "a number between 0 and 1", self.factor)

    def rate(self, state: ScheduleState, step: int, length: Length) -> float:
        """Return the learning rate of a step: that of its epoch."""
        epoch = step // length.steps_per_epoch
        falls = epoch // self.every if self.milestones is None else sum(at <= epoch for at in self.milestones)
        return state["learning_rate"] * self.factor**falls
