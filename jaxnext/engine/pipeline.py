"""The next batch is read and sent to the devices while they compute this one: one step is always in flight.

Where JAX runs a step in the thread that calls it (large ones on CPUs, ``ops.cpu.allocator``), the next
batch is still decoded meanwhile, and only sent after it.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from jaxnext.data.loader import HostBatch

_T = TypeVar("_T")


def pipelined(started: Iterable[_T]) -> Iterator[_T]:
    """Yield each item only when the next one has been taken from ``started``, which starts a step for each."""
    before: list[_T] = []
    for item in started:
        yield from before
        before = [item]
    yield from before


class DataWait:
    """Fetches batches, and adds up the seconds in which no step ran because the next batch was not there."""

    def __init__(self, clock: Callable[[], float], seconds: float = 0.0) -> None:
        """Start with the seconds waited so far."""
        self.seconds = seconds
        self._clock = clock

    def fetch(self, batches: Iterator[HostBatch], running: dict[str, Any] | None) -> HostBatch:
        """Return the next batch.

        Args:
            batches: that are read.
            running: metric sums of the step in flight; ``None``: there is none. It runs while the batch is fetched.
                Only if it has ended meanwhile was there a wait, which is then counted from its beginning.
        """
        asked = self._clock()
        batch = next(batches)
        if running is None or running["loss"].is_ready():
            self.seconds += self._clock() - asked
        return batch
