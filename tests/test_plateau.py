import math
import random
from itertools import pairwise
from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnext.engine.schedule import Length
from jaxnext.engine.schedules.plateau import Schedule


def rates(learning_rate: float, losses: list[float], schedule: Schedule) -> list[float]:
    state, found = schedule.start(learning_rate), []
    for loss in losses:
        state = schedule.after_epoch(state, loss)
        found.append(schedule.rate(state, 0, Length(1, 1)))
    return found


def state_of(learning_rate: float, best: float, bad_epochs: int, cooldown: int = 0) -> dict[str, float]:
    return {"learning_rate": learning_rate, "best": best, "bad_epochs": bad_epochs, "cooldown": cooldown}


# Recorded with torch.optim.lr_scheduler.ReduceLROnPlateau of PyTorch 2.13: the learning rate after each epoch.
RECORDED = {
    "falling": (1e-4, [2.3, 1.9, 1.5, 1.2, 1.0, 0.9], Schedule(), [0.0001] * 6),
    "patience is exceeded, not reached": (
        1e-4,
        [1.0] * 10,
        Schedule(),
        [0.0001] * 4 + [1e-05] * 4 + [1.0000000000000002e-06] * 2,
    ),
    "a better epoch counts anew": (
        1e-3,
        [1.0, 1.1, 1.2, 1.3, 0.9, 1.0, 1.0, 1.0, 1.0, 0.5],
        Schedule(factor=0.5),
        [0.001] * 8 + [0.0005] * 2,
    ),
    "nan is no improvement": (
        1e-4,
        [nan, nan, 1.0, nan, nan, nan, nan, 0.5, nan],
        Schedule(patience=2),
        [0.0001] * 5 + [1e-05] * 4,
    ),
    "inf, then finite": (
        1e-4,
        [inf, inf, inf, 2.0, inf, 1.0, inf, inf, inf],
        Schedule(patience=1),
        [0.0001] + [1e-05] * 6 + [1.0000000000000002e-06] * 2,
    ),
    "edge of the threshold": (
        1e-2,
        [1.0, 0.9999, 0.9998999999999999, 0.9998, 0.99970003, 0.9996],
        Schedule(patience=0),
        [0.01, 0.001, 0.001, 0.001, 0.0001, 0.0001],
    ),
    "a wide threshold": (
        1e-2,
        [1.0, 0.75, 0.74, 0.56, 0.55, 0.42, 0.4],
        Schedule(factor=0.25, patience=0, threshold=0.25),
        [0.01, 0.0025, 0.0025, 0.000625, 0.000625, 0.00015625, 0.00015625],
    ),
    "cooldown": (
        1e-2,
        [1.0] * 12,
        Schedule(patience=1, cooldown=3),
        [0.01, 0.01, 0.001, 0.001, 0.001, 0.001, 0.001, 0.0001, 0.0001, 0.0001, 0.0001, 0.0001],
    ),
    "lowest learning rate": (
        1e-3,
        [1.0] * 6,
        Schedule(patience=0, min_learning_rate=3e-5),
        [0.001, 0.0001, 3e-05, 3e-05, 3e-05, 3e-05],
    ),
    "a fall of 1e-8 is not made": (2e-8, [1.0] * 4, Schedule(factor=0.5, patience=0), [2e-08] * 4),
    "a rate below 1e-8 stays": (5e-9, [1.0] * 4, Schedule(patience=0), [5e-09] * 4),
    "down to the smallest fall": (
        1e-6,
        [3.0] * 5,
        Schedule(patience=0),
        [1e-06, 1e-07, 1e-08, 1e-08, 1e-08],
    ),
}


@pytest.mark.parametrize("name", RECORDED)
def test_recorded(name: str) -> None:
    learning_rate, losses, config, expected = RECORDED[name]
    assert rates(learning_rate, losses, config) == expected


def test_a_reduction_that_is_not_made_still_starts_the_count_and_the_cooldown() -> None:
    state = Schedule(cooldown=2).after_epoch(state_of(5e-9, best=1.0, bad_epochs=3), 1.0)
    assert state == state_of(5e-9, best=1.0, bad_epochs=0, cooldown=2)


def test_the_best_is_kept_in_cooldown() -> None:
    state = Schedule(cooldown=2).after_epoch(state_of(1e-4, best=1.0, bad_epochs=0, cooldown=2), 0.5)
    assert state == state_of(1e-4, best=0.5, bad_epochs=0, cooldown=1)


losses = st.lists(st.floats(0, 10) | st.sampled_from([nan, inf, 1.0, 0.9999]), max_size=30)


@settings(deadline=None, max_examples=100)
@given(losses, st.integers(0, 4), st.integers(0, 3), st.floats(0, 1e-3))
def test_never_rises_and_falls_no_sooner_than_patience_and_cooldown(
    values: list[float], patience: int, cooldown: int, low: float
) -> None:
    config = Schedule(patience=patience, cooldown=cooldown, min_learning_rate=low)
    found = [1e-3, *rates(1e-3, values, config)]
    falls = [epoch for epoch in range(1, len(found)) if found[epoch] != found[epoch - 1]]
    assert found == sorted(found, reverse=True)
    assert all(rate >= low for rate in found)
    assert all(later - earlier >= patience + cooldown + 1 for earlier, later in pairwise(falls))
    assert all(fall >= patience + 1 for fall in falls)


def test_equals_torch_on_200_random_sequences() -> None:
    torch = pytest.importorskip("torch")
    generator = random.Random(0)
    reduced = 0
    for _ in range(200):
        start = 10 ** generator.uniform(-8, -1)
        config = Schedule(
            factor=generator.choice([0.1, 0.5, 0.9, generator.uniform(0.01, 0.99)]),
            patience=generator.randrange(5),
            threshold=generator.choice([0.0, 1e-4, 0.1]),
            cooldown=generator.choice([0, 0, 1, 3]),
            min_learning_rate=generator.choice([0.0, 0.0, 1e-6, 1e-2]),
        )
        level = 2.0
        values = []
        for _ in range(40):
            level *= generator.choice([1.0, 1.0, 1.0, 1 - 1e-4, 0.99, 0.9, 1.05])
            values.append(generator.choice([nan, inf]) if generator.random() < 0.05 else level)
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=start)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer,
            factor=config.factor,
            patience=config.patience,
            threshold=config.threshold,
            cooldown=config.cooldown,
            min_lr=config.min_learning_rate,
        )
        expected = []
        for value in values:
            scheduler.step(value)
            expected.append(optimizer.param_groups[0]["lr"])
        assert rates(start, values, config) == expected, (start, config, values)
        reduced += expected[-1] < start and not math.isclose(expected[-1], start)
    assert reduced > 100


@pytest.mark.parametrize("name", ["factor", "threshold", "min_learning_rate"])
@pytest.mark.parametrize("value", [inf, nan, -1.0])
def test_numbers_that_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^schedule.{name}: expected .*, found {value}$"):
        Schedule(**{name: value})
