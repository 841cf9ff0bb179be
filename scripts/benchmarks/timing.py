"""Times of several functions, measured in turn."""

import dataclasses
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Clock = Callable[[], float]
"""Seconds, as ``time.perf_counter``."""

LEAST_SECONDS = 0.02
"""A sample lasts at least this long, so that neither the clock nor one late thread decides it."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One of the functions that are compared."""

    name: str
    call: Callable[[], Any]
    """begins one call; may return before the work is done"""
    wait: Callable[[Any], Any]
    """given what the last call returned, returns when that call and those before it are done"""


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of one call, one value for each round."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """Seconds of the round in the middle."""
        return statistics.median(self.samples)

    @property
    def least(self) -> float:
        """Seconds of the fastest round."""
        return min(self.samples)

    def to_json(self) -> dict[str, float]:
        """Both, under the names that they have in a result."""
        return {"median_seconds": self.median, "least_seconds": self.least}


def measure_in_turn(
    candidates: Sequence[Candidate], rounds: int, clock: Clock, least_seconds: float = LEAST_SECONDS
) -> dict[str, Timing]:
    """Measure functions a b c, a b c, ..., so that what disturbs the machine for a while disturbs all of them.

    Before the first round each is called until as many calls are known as last ``least_seconds``. A function of which
    a sample takes several calls gets one more before each sample, outside the time: threads of the function before it
    may still be spinning.

    Args:
        candidates: with different names.
        rounds: samples of each, at least 1.
        clock: seconds.
        least_seconds: that a sample lasts.

    Returns:
        for each name the seconds of one call.
    """
    calls = {candidate.name: _calls_needed(candidate, clock, least_seconds) for candidate in candidates}
    samples: dict[str, list[float]] = {candidate.name: [] for candidate in candidates}
    for _ in range(rounds):
        for candidate in candidates:
            count = calls[candidate.name]
            if count > 1:
                _seconds(candidate, 1, clock)
            samples[candidate.name].append(_seconds(candidate, count, clock) / count)
    return {name: Timing(tuple(values)) for name, values in samples.items()}


def ratio(ours: Timing | None, theirs: Iterable[Timing | None]) -> float | None:
    """Our median over the smallest of theirs; ``None`` where one side was not measured."""
    medians = [timing.median for timing in theirs if timing is not None]
    return ours.median / min(medians) if ours is not None and medians else None


def _calls_needed(candidate: Candidate, clock: Clock, least_seconds: float) -> int:
    _seconds(candidate, 1, clock)
    count = 1
    while _seconds(candidate, count, clock) < least_seconds:
        count *= 2
    return count


def _seconds(candidate: Candidate, count: int, clock: Clock) -> float:
    handle, begin = None, clock()
    for _ in range(count):
        handle = candidate.call()
    candidate.wait(handle)
    return clock() - begin
