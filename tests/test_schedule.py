"""What every file of ``engine/schedules`` must do."""

from itertools import pairwise

import pytest

from jaxnext.config.sections import SCHEDULES
from jaxnext.engine.schedule import Length, OverWholeRun, Planned


@pytest.mark.parametrize("name", SCHEDULES.names())
def test_every_schedule_starts_at_a_rate_and_changes_nothing_but_its_state(name: str) -> None:
    schedule, length = SCHEDULES.choose(name).build(), Length(epochs=2, steps_per_epoch=3)
    state = schedule.start(0.5)
    kept = dict(state)
    rates = [schedule.rate(state, step, length) for step in range(6)]
    assert all(0 <= rate <= 0.5 for rate in rates)
    assert all(isinstance(value, int | float) for value in state.values())
    schedule.after_epoch(state, 1.0)
    assert dict(state) == kept
    assert rates == [schedule.rate(state, step, length) for step in range(6)]


@pytest.mark.parametrize("name", SCHEDULES.names())
def test_a_schedule_that_depends_on_the_number_of_epochs_has_the_option_that_says_so(name: str) -> None:
    schedule = SCHEDULES.choose(name).build()
    state = schedule.start(0.5)
    short, long = ([schedule.rate(state, step, Length(epochs, 5)) for step in range(10)] for epochs in (2, 7))
    assert (short != long) == (SCHEDULES.choose(name).options.get("stretch") is False)


@pytest.mark.parametrize("kind", [OverWholeRun, Planned])
def test_a_planned_schedule_remembers_its_first_rate_and_no_loss(kind: type) -> None:
    schedule = kind()
    assert schedule.start(0.25) == {"learning_rate": 0.25}
    assert schedule.after_epoch({"learning_rate": 0.25}, 3.0) == {"learning_rate": 0.25}


def test_a_length_counts_training_steps() -> None:
    assert Length(2, 3).steps == 6
    assert Length(2, 3)._asdict() == {"epochs": 2, "steps_per_epoch": 3}
    assert list(pairwise(Length(2, 3))) == [(2, 3)]
