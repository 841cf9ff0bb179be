from typing import Any

from jaxnext.training.processes import Processes
from jaxnext.training.time_limit import TimeLimit


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_without_hours_the_clock_is_not_read() -> None:
    def clock() -> float:
        raise AssertionError

    limit = TimeLimit(None, clock, Processes())
    assert not limit.passed()
    assert not limit.too_short_for(1e9)
    limit.agree(lambda: True)
    assert not limit.reached


def test_the_hours_are_over() -> None:
    clock = Clock()
    limit = TimeLimit(2.0, clock, Processes())
    clock.now = 100 + 7199.0
    assert not limit.passed()
    clock.now = 100 + 7200.0
    assert limit.passed()
    assert limit.reached


def test_another_epoch_would_not_be_done() -> None:
    clock = Clock()
    limit = TimeLimit(1.0, clock, Processes())
    clock.now = 100 + 1800.0
    assert not limit.too_short_for(1800.0)
    assert limit.too_short_for(1801.0)
    assert limit.passed()


class Two(Processes):
    """The other one answers as given."""

    def __init__(self, other: str) -> None:
        super().__init__(count=2)
        self.other = other

    def allgather(self, text: str) -> list[str]:
        return [text, self.other]


def test_of_several_processes_the_first_out_of_time_ends_all_after_the_same_step() -> None:
    clock = Clock()
    limit = TimeLimit(1.0, clock, Two("true"))
    assert limit.too_short_for(1.0)
    clock.now += 3600
    late = TimeLimit(1.0, clock, Two("[false, false]"))
    clock.now += 3600
    assert late.passed()
    # The others do not know before the next step has told them.
    assert not late.reached
    late._processes.stopping = True
    late.agree(lambda: False)
    assert (late.reached, late._processes.stopping) == (True, False)


def test_a_wish_to_stop_goes_before_the_time() -> None:
    clock: Any = Clock()
    limit = TimeLimit(1.0, clock, Two("[false, true]"))
    limit._processes.stopping = True
    clock.now += 3600
    limit.agree(lambda: False)
    assert (limit.reached, limit._processes.stopping) == (False, True)
