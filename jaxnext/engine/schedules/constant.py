"""The optimizer's learning rate, unchanged."""

import dataclasses

from jaxnext.engine.schedule import Length, Planned, ScheduleState


@dataclasses.dataclass(frozen=True)
class Schedule(Planned):
    """``ConstantLR`` with factor 1."""

    def rate(self, state: ScheduleState, step: int, length: Length) -> float:
        """Return the learning rate of a step."""
        del step, length
        return state["learning_rate"]
