from typing import Any

import pytest
from rates import assert_equal, rates, torch_rates

from jaxnext.engine.schedule import Length
from jaxnext.engine.schedules.one_cycle import Schedule


# Recorded with torch.optim.lr_scheduler.OneCycleLR of PyTorch 2.13.
def test_recorded() -> None:
    recorded = [
        *(0.004, 0.052, 0.1, 0.09504846320134738, 0.0811745653949763),
        *(0.06112620219362893, 0.03887419780637107, 0.0188258346050237, 0.004951936798652629, 4e-07),
    ]
    assert_equal(rates(Schedule(), 0.1, Length(2, 5)), recorded, 0.1)


def test_recorded_in_straight_lines() -> None:
    recorded = [
        *(0.01, 0.05090909090909092, 0.09181818181818183, 0.08335),
        *(0.0625375, 0.041725, 0.0209125, 0.0001),
    ]
    schedule = Schedule(rise=0.4, curve="linear", div_factor=10, final_div_factor=100)
    assert_equal(rates(schedule, 0.1, Length(2, 4)), recorded, 0.1)


@pytest.mark.parametrize("options", [{}, {"rise": 0.5, "curve": "linear"}, {"rise": 0.013, "final_div_factor": 10.0}])
@pytest.mark.parametrize("length", [Length(7, 11), Length(1, 3), Length(1, 1)])
def test_equals_torch(options: dict[str, Any], length: Length) -> None:
    torch = pytest.importorskip("torch")
    schedule = Schedule(**options)

    def make(optimizer):
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            0.3,
            total_steps=length.steps,
            pct_start=schedule.rise,
            anneal_strategy={"cosine": "cos"}.get(schedule.curve, schedule.curve),
            cycle_momentum=False,
            div_factor=schedule.div_factor,
            final_div_factor=schedule.final_div_factor,
        )

    assert_equal(rates(schedule, 0.3, length), torch_rates(make, 0.3, length), 0.3)


def test_a_rise_of_one_step_is_the_highest_rate() -> None:
    # PyTorch divides by zero.
    assert rates(Schedule(rise=0.1, curve="linear"), 0.5, Length(2, 5))[:2] == [
        0.5,
        pytest.approx(0.5 * 8 / 9, rel=1e-4),
    ]


@pytest.mark.parametrize(
    ("name", "value"), [("rise", 1.0), ("rise", 0.0), ("div_factor", 0.0), ("final_div_factor", -1.0)]
)
def test_numbers_that_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^schedule.{name}: expected a .*, found {value}$"):
        Schedule(**{name: value})
