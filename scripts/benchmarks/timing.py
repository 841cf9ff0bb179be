"""Times of several functions, measured in turn."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    """of its record: what was seen when it was made"""


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
        """Return both, under the names that they have in a result."""
        return {"median_seconds": self.median, "least_seconds": self.least}


def take_turns(samplers: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, Timing]:
    """Take samples of functions a b c, a b c, ..., so that what disturbs the machine for a while disturbs all of them.

    Args:
        samplers: each returns the seconds of its sample.
        rounds: samples of each, at least 1.
    """
    samples: dict[str, list[float]] = {name: [] for name in samplers}
    for _ in range(rounds):
        for name, sampler in samplers.items():
            samples[name].append(sampler())
    return {name: Timing(tuple(values)) for name, values in samples.items()}


def measure_in_turn(
    candidates: Sequence[Candidate],
    rounds: int,
    *,
    clock: Clock = time.perf_counter,
    least_seconds: float = LEAST_SECONDS,
) -> dict[str, Timing]:
    """Measure the seconds of a call of each candidate, in turn.

    Before the first round each is called until as many calls are known as last ``least_seconds``. A function of which
    a sample takes several calls gets one more before each sample, outside the time: threads of the function before it
    may still be spinning.

    Args:
        candidates: with different names.
        rounds: samples of each, at least 1.
        clock: seconds.
        least_seconds: that a sample lasts.
    """

    def sampler(candidate: Candidate) -> Callable[[], float]:
        calls = _calls_needed(candidate, clock, least_seconds)

        def sample() -> float:
            if calls > 1:
                _seconds(candidate, 1, clock)
            return _seconds(candidate, calls, clock) / calls

        return sample

    return take_turns({candidate.name: sampler(candidate) for candidate in candidates}, rounds)


def ratio(ours: Timing | None, theirs: Iterable[Timing | None]) -> float | None:
    """Return our median over the smallest of theirs; ``None`` where one side was not measured."""
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
