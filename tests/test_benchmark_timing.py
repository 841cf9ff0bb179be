import pytest
from benchmarks.timing import Candidate, Timing, measure_in_turn, ratio


class World:
    """Functions that take a known time, and the clock that they move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def candidate(self, name: str, *seconds: float) -> Candidate:
        """Takes the given seconds, call by call; the last of them from then on."""
        remaining = list(seconds)

        def call() -> float:
            self.calls.append(name)
            return remaining.pop(0) if len(remaining) > 1 else remaining[0]

        def wait(took: float) -> None:
            self.now += took

        return Candidate(name, call, wait)

    def clock(self) -> float:
        return self.now


def test_rounds_are_in_turn_and_the_first_calls_do_not_count():
    world = World()
    slow, fast = world.candidate("slow", 90, 90, 3, 1, 2), world.candidate("fast", 80, 80, 0.5, 0.25, 0.25)
    timings = measure_in_turn([slow, fast], 3, clock=world.clock)
    assert timings == {"slow": Timing((3, 1, 2)), "fast": Timing((0.5, 0.25, 0.25))}
    assert world.calls == ["slow"] * 2 + ["fast"] * 2 + ["slow", "fast"] * 3


def test_short_calls_are_repeated_until_a_sample_is_long_enough():
    calls, now = [0], [0.0]

    def call() -> None:
        calls[0] += 1
        now[0] += 0.003

    timings = measure_in_turn(
        [Candidate("short", call, lambda handle: None)], 2, clock=lambda: now[0], least_seconds=0.02
    )
    assert timings["short"].samples == pytest.approx((0.003, 0.003))
    # One that warms up; 1, 2, 4 and 8 to find that 8 last 24 ms; each of two rounds warms up with one and counts 8.
    assert calls[0] == 1 + 15 + 2 * 9


def test_a_sample_waits_once_for_its_last_call():
    waited, handles, now = [], iter(range(100)), [0.0]

    def call() -> int:
        now[0] += 0.125
        return next(handles)

    measure_in_turn([Candidate("queued", call, waited.append)], 1, clock=lambda: now[0], least_seconds=0.5)
    # Warm-up; samples of 1, 2 and 4 calls; warm-up and sample of the only round.
    assert waited == [0, 1, 3, 7, 8, 12]


def test_median_and_least():
    timing = Timing((0.5, 0.125, 0.25))
    assert (timing.median, timing.least) == (0.25, 0.125)
    assert timing.to_json() == {"median_seconds": 0.25, "least_seconds": 0.125}


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (Timing((3.0,)), [Timing((4.0,)), Timing((2.0, 2.0, 9.0))], 1.5),
        (Timing((3.0,)), [None, Timing((4.0,))], 0.75),
        (Timing((3.0,)), [None], None),
        (None, [Timing((4.0,))], None),
    ],
    ids=["the better one", "one is missing", "none", "ours is missing"],
)
def test_ratio(ours, theirs, expected):
    assert ratio(ours, theirs) == expected
