import re

import pytest
from rates import assert_equal, rates, torch_rates

from jaxnext.engine.schedule import Length
from jaxnext.engine.schedules.cosine import Schedule
from jaxnext.errors import UsageError


# Recorded with torch.optim.lr_scheduler of PyTorch 2.13.
def test_recorded() -> None:
    recorded = [0.1, 0.09330127018922195, 0.07500000000000001, 0.05, 0.025000000000000012, 0.006698729810778065]
    assert_equal(rates(Schedule(), 0.1, Length(2, 3)), recorded, 0.1)


def test_recorded_with_a_warmup_of_three_steps() -> None:
    recorded = [
        *(0.001, 0.034, 0.067, 0.1),
        *(0.0905463412215599, 0.06579634122155989, 0.035203658778440096, 0.010453658778440105),
    ]
    # One and a half epochs of two steps.
    assert_equal(rates(Schedule(warmup_epochs=1.5, min_learning_rate=0.001), 0.1, Length(4, 2)), recorded, 0.1)


@pytest.mark.parametrize(("warmup", "low"), [(0, 0.0), (1, 1e-4), (20, 0.0), (60, 0.01)])
def test_equals_torch(warmup: int, low: float) -> None:
    scheduler, length = pytest.importorskip("torch").optim.lr_scheduler, Length(8, 10)
    schedule = Schedule(warmup_epochs=warmup / 10, warmup_factor=0.2, min_learning_rate=low)

    def make(optimizer):
        cosine = scheduler.CosineAnnealingLR(optimizer, length.steps - warmup, low)
        if not warmup:
            return cosine
        rise = scheduler.LinearLR(optimizer, 0.2, total_iters=warmup)
        return scheduler.SequentialLR(optimizer, [rise, cosine], [warmup])

    assert_equal(rates(schedule, 0.3, length), torch_rates(make, 0.3, length), 0.3)


def test_a_warmup_as_long_as_the_run_is_refused() -> None:
    schedule = Schedule(warmup_epochs=3)
    assert schedule.rate(schedule.start(0.1), 0, Length(4, 5)) == pytest.approx(0.001)
    expected = "schedule.warmup_epochs: expected less than the run's 3 epochs, found 3"
    with pytest.raises(UsageError, match=f"^{re.escape(expected)}$"):
        schedule.rate(schedule.start(0.1), 0, Length(3, 5))


def test_a_rate_that_would_rise_is_refused() -> None:
    expected = "schedule.min_learning_rate: expected at most optimizer.learning_rate, 0.0001, found 0.01"
    with pytest.raises(UsageError, match=f"^{re.escape(expected)}$"):
        Schedule(min_learning_rate=0.01).start(1e-4)


@pytest.mark.parametrize(
    ("name", "value"), [("warmup_epochs", -1.0), ("warmup_factor", 0.0), ("min_learning_rate", float("inf"))]
)
def test_numbers_that_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^schedule.{name}: expected a number .*, found {value}$"):
        Schedule(**{name: value})
