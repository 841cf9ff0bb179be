import pytest
from rates import assert_equal, rates, torch_rates

from jaxnext.engine.schedule import Length
from jaxnext.engine.schedules.polynomial import Schedule


# Recorded with torch.optim.lr_scheduler.PolynomialLR of PyTorch 2.13.
@pytest.mark.parametrize(
    ("power", "recorded"),
    [
        (1.0, [0.1, 0.08333333333333334, 0.06666666666666668, 0.05, 0.03333333333333334, 0.016666666666666663]),
        (
            0.9,
            [
                *(0.1, 0.08486661467891869, 0.06942531626616072),
                *(0.053588673126814666, 0.037204105801130156, 0.019937186647521924),
            ],
        ),
    ],
)
def test_recorded(power: float, recorded: list[float]) -> None:
    assert_equal(rates(Schedule(power=power), 0.1, Length(2, 3)), recorded, 0.1)


@pytest.mark.parametrize("power", [0.5, 2.0])
def test_equals_torch(power: float) -> None:
    scheduler = pytest.importorskip("torch").optim.lr_scheduler
    expected = torch_rates(lambda o: scheduler.PolynomialLR(o, 77, power), 0.3, Length(7, 11))
    assert_equal(rates(Schedule(power=power), 0.3, Length(7, 11)), expected, 0.3)


@pytest.mark.parametrize("power", [0.0, float("nan")])
def test_what_is_refused(power: float) -> None:
    with pytest.raises(ValueError, match=r"^schedule\.power: expected a number above 0, found "):
        Schedule(power=power)
