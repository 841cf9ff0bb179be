import pytest
from rates import assert_equal, rates, torch_rates

from jaxnext.engine.schedule import Length
from jaxnext.engine.schedules.step import Schedule


# Recorded with torch.optim.lr_scheduler of PyTorch 2.13, stepped after each epoch of two steps.
def test_recorded_every_two_epochs() -> None:
    found = rates(Schedule(every=2), 0.1, Length(6, 2))
    assert_equal(found, [0.1] * 4 + [0.01] * 4 + [0.001] * 4, 0.1)


def test_recorded_at_milestones() -> None:
    found = rates(Schedule(every=2, milestones=(1, 4), factor=0.5), 0.1, Length(6, 2))
    assert_equal(found, [0.1] * 2 + [0.05] * 6 + [0.025] * 4, 0.1)


@pytest.mark.parametrize("factor", [0.1, 0.7])
def test_equals_torch(factor: float) -> None:
    scheduler, length = pytest.importorskip("torch").optim.lr_scheduler, Length(23, 3)
    expected = torch_rates(lambda o: scheduler.StepLR(o, 4, factor), 0.3, length, each_step=False)
    assert_equal(rates(Schedule(every=4, factor=factor), 0.3, length), expected, 0.3)
    milestones = (3, 9, 9, 20)
    expected = torch_rates(lambda o: scheduler.MultiStepLR(o, milestones, factor), 0.3, length, each_step=False)
    assert_equal(rates(Schedule(milestones=milestones, factor=factor), 0.3, length), expected, 0.3)


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^schedule\.every: expected at least 1, found 0$"):
        Schedule(every=0)
    with pytest.raises(ValueError, match=r"^schedule\.milestones: expected null or .* at least 1, found \[3, 0\]$"):
        Schedule(milestones=(3, 0))
    with pytest.raises(ValueError, match=r"^schedule\.milestones: expected null or .* at least 1, found \[\]$"):
        Schedule(milestones=())
    with pytest.raises(ValueError, match=r"^schedule\.factor: expected a number between 0 and 1, found 1\.0$"):
        Schedule(factor=1.0)
