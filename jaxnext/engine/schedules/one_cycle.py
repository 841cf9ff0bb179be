"""Learning rate that rises from a small one and falls to a far smaller one, as PyTorch's ``OneCycleLR``.

Smith and Topin, "Super-Convergence", 2018. The learning rate alone is cycled, as PyTorch does with
``cycle_momentum=False``: momentum and betas stay as the optimizer has them.
"""

import dataclasses
import math
from typing import Literal

from jaxnext.config.values import require
from jaxnext.engine.schedule import Length, OverWholeRun, ScheduleState, require_positive


@dataclasses.dataclass(frozen=True)
class Schedule(OverWholeRun):
    """``OneCycleLR`` over the steps of the run, in two phases; the optimizer's learning rate is the highest."""

    rise: float = 0.3
    """share of the run in which the learning rate rises (PyTorch's pct_start)"""
    curve: Literal["cosine", "linear"] = "cosine"
    """form of rise and fall (PyTorch's anneal_strategy)"""
    div_factor: float = 25.0
    """the first learning rate is the optimizer's divided by this"""
    final_div_factor: float = 1e4
    """the last learning rate is the first divided by this"""

    def __post_init__(self) -> None:
        require(0 < self.rise < 1, "schedule.rise", "a share between 0 and 1", self.rise)
        require_positive("div_factor", self.div_factor)
        require_positive("final_div_factor", self.final_div_factor)

    def rate(self, state: ScheduleState, step: int, length: Length) -> float:
        """Return the learning rate of a step; the rise may end, with the highest, between two steps."""
        highest = state["learning_rate"]
        first = highest / self.div_factor
        top, last = self.rise * length.steps - 1, length.steps - 1
        if step <= top:
            return self._between(first, highest, step / top if top else 1.0)
        return self._between(highest, first / self.final_div_factor, (step - top) / (last - top))

    def _between(self, begin: float, end: float, share: float) -> float:
        if self.curve == "linear":
            return begin + (end - begin) * share
        return end + (begin - end) / 2 * (1 + math.cos(math.pi * share))
