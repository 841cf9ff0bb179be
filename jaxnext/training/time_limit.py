"""The hours that a run may take since its start."""

import json
from collections.abc import Callable

from jaxnext.training.processes import Processes


class TimeLimit:
    """Whether a run is out of time. Of several processes each has a clock of its own; they answer alike."""

    def __init__(self, hours: float | None, clock: Callable[[], float], processes: Processes) -> None:
        """Start the clock.

        Args:
            hours: that the run may take; ``None``: as many as it needs, and the clock is not read.
            clock: seconds.
            processes: of the run.
        """
        self.hours, self.reached = hours, False
        self._clock, self._processes = clock, processes
        self._begin = 0.0 if hours is None else clock()

    def passed(self) -> bool:
        """Return whether the time is over, by the clock of this process; the others do not know yet."""
        over = self.hours is not None and self._left() <= 0
        if self._processes.count == 1:
            self.reached |= over
        return over or self.reached

    def too_short_for(self, seconds: float) -> bool:
        """Return whether less than ``seconds`` are left, which is then the end; all processes must call it together."""
        if self.hours is not None:
            answers = self._processes.allgather(json.dumps(self._left() < seconds))
            self.reached |= any(json.loads(answer) for answer in answers)
        return self.reached

    def agree(self, interrupted: Callable[[], bool]) -> None:
        """Settle with the other processes why all have stopped: a wish of the user goes before the time.

        Args:
            interrupted: whether the user has asked this process to stop.
        """
        if self.hours is None:
            return
        found = [json.loads(text) for text in self._processes.allgather(json.dumps([self.passed(), interrupted()]))]
        asked = any(wish for _, wish in found)
        self.reached = any(reached for reached, _ in found) and not asked
        self._processes.stopping &= asked

    def _left(self) -> float:
        return self._begin + (self.hours or 0) * 3600 - self._clock()
