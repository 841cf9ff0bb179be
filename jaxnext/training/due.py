"""When a checkpoint within an epoch is due."""

from collections.abc import Callable

from jaxnext.config.training import CheckpointConfig


class Due:
    """Knows how much would be lost if the run were killed now."""

    def __init__(self, config: CheckpointConfig, clock: Callable[[], float], asked: Callable[[], int]) -> None:
        """Begin with nothing to be lost.

        Args:
            config: after how much a checkpoint is due.
            clock: seconds.
            asked: how often the user has asked for one so far.
        """
        self._seconds, self._steps = 60 * (config.every_minutes or 0), config.every_steps
        self._clock, self._asked = clock, asked
        self._begin: float | None = None
        self._position, self._answered = 0, 0

    def now(self, position: int) -> bool:
        """Return whether to save at a position of the run; it is answered with ``saved``."""
        asked = self._asked()
        if position == self._position:
            # What is asked for is there.
            self._answered = asked
            return False
        if self._begin is None:
            self._begin = self._clock()
        if asked != self._answered or (self._steps and position - self._position >= self._steps):
            return True
        return self._seconds > 0 and self._clock() - self._begin >= self._seconds

    def saved(self, position: int) -> None:
        """Count from here on: a position is saved, or about to be, or it is where the run begins."""
        self._position, self._begin, self._answered = position, None, self._asked()
