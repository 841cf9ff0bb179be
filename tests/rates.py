"""The learning rate of every step of a run, of a schedule and of PyTorch's."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tolerances import PLANNED_RATE

from jaxnext.engine.schedule import Length


def rates(schedule: Any, learning_rate: float, length: Length) -> list[float]:
    state, found = schedule.start(learning_rate), []
    for step in range(length.steps):
        found.append(schedule.rate(state, step, length))
        if (step + 1) % length.steps_per_epoch == 0:
            state = schedule.after_epoch(state, 1.0)
    return found


def torch_rates(
    make: Callable[[Any], Any], learning_rate: float, length: Length, each_step: bool = True
) -> list[float]:
    """Those of the scheduler that ``make`` gives of an optimizer, stepped after each step or each epoch."""
    torch = pytest.importorskip("torch")
    optimizer, found = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=learning_rate), []
    scheduler = make(optimizer)
    for step in range(1, length.steps + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < length.steps and (each_step or step % length.steps_per_epoch == 0):
            scheduler.step()
    return found


def assert_equal(found: list[float], expected: list[float], highest: float) -> None:
    """They are the same but for the rounding of the way to them."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=PLANNED_RATE * highest)
