import functools
import threading
import time

import pytest

from jaxnext.data.threads import Stopped, in_order


def after(seconds: float, value: int) -> int:
    time.sleep(seconds)
    return value


def test_results_come_in_the_order_of_the_calls() -> None:
    calls = [functools.partial(after, seconds, i) for i, seconds in enumerate((0.03, 0.0, 0.01, 0.0))]
    assert list(in_order(calls, 4)) == [0, 1, 2, 3]
    assert list(in_order([], 4)) == []


def test_the_calls_run_at_once() -> None:
    meeting = threading.Barrier(3, timeout=20)
    assert sorted(in_order([meeting.wait] * 3, 3)) == [0, 1, 2]


def test_only_a_few_calls_are_taken_ahead() -> None:
    taken: list[int] = []

    def calls():
        for i in range(100):
            taken.append(i)
            yield functools.partial(after, 0, i)

    results = in_order(calls(), 2)
    assert next(results) == 0
    assert len(taken) == 5
    assert list(results) == list(range(1, 100))


def test_an_error_comes_in_its_place() -> None:
    results = in_order([lambda: 1, lambda: 1 // 0, lambda: 3], 2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_asked_to_stop_nothing_more_is_handed_out() -> None:
    made: list[int] = []
    answers = iter([False, False, True])
    with pytest.raises(Stopped):
        list(in_order([functools.partial(made.append, i) for i in range(9)], 1, lambda: next(answers)))
    assert made == [0, 1]
