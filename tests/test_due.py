from typing import Any

import pytest

from jaxnext.config.training import CheckpointConfig
from jaxnext.training.due import Due

NEVER: dict[str, Any] = {"every_minutes": None}


class Around:
    """A clock, and how often a checkpoint was asked for."""

    def __init__(self) -> None:
        self.seconds, self.asked = 0.0, 0

    def due(self, **values: Any) -> Due:
        return Due(CheckpointConfig(**values), lambda: self.seconds, lambda: self.asked)


def test_by_default_after_ten_minutes_that_begin_with_the_first_step() -> None:
    around = Around()
    due = around.due()
    around.seconds = 5000.0
    assert not due.now(1)
    around.seconds += 599.5
    assert not due.now(2)
    around.seconds += 0.5
    assert due.now(3)
    due.saved(3)
    around.seconds += 300
    assert not due.now(4)
    around.seconds += 600
    assert due.now(5)


@pytest.mark.parametrize("minutes", [0.0, None])
def test_without_minutes_the_clock_is_not_read(minutes: float | None) -> None:
    around = Around()
    due = around.due(every_minutes=minutes)
    assert not due.now(1)
    around.seconds = 1e9
    assert not due.now(2)


def test_after_so_many_steps_since_the_last_one() -> None:
    due = Around().due(every_steps=3, **NEVER)
    due.saved(5)
    assert [due.now(position) for position in (6, 7, 8, 9)] == [False, False, True, True]
    due.saved(9)
    assert [due.now(position) for position in (10, 11, 12)] == [False, False, True]


def test_what_is_asked_for_is_due_once() -> None:
    around = Around()
    due = around.due(**NEVER)
    assert not due.now(1)
    around.asked = 2
    assert [due.now(1), due.now(2)] == [True, True]
    due.saved(2)
    assert not due.now(3)
    around.asked = 3
    assert due.now(3)


def test_a_position_that_is_saved_answers_what_is_asked() -> None:
    around = Around()
    due = around.due(every_steps=1, **NEVER)
    due.saved(4)
    around.asked = 1
    assert not due.now(4)
    due = around.due(**NEVER)
    due.saved(4)
    assert [due.now(4), due.now(5)] == [False, False]
