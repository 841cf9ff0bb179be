"""Learning rate that falls to zero over the run as a power of what is left of it, as PyTorch's ``PolynomialLR``."""

import dataclasses

from jaxnext.engine.schedule import Length, OverWholeRun, ScheduleState, require_positive


@dataclasses.dataclass(frozen=True)
class Schedule(OverWholeRun):
    """``PolynomialLR`` over the steps of the run."""

    power: float = 1.0
    """the learning rate is multiplied by the share of the run that is left, to this power; 1: it falls linearly"""

    def __post_init__(self) -> None:
        require_positive("power", self.power)

    def rate(self, state: ScheduleState, step: int, length: Length) -> float:
        """Return the learning rate of a step."""
        return state["learning_rate"] * (1 - step / length.steps) ** self.power
