from typing import Any

import jax
import jax.numpy as jnp
import pytest
from descent import assert_equals_torch, assert_recorded

from jaxnext.engine.optimizers.sgd import Optimizer

# Recorded with torch.optim.SGD of PyTorch 2.13 in float64, from [1, -2, 0.5] with learning rate 0.1.
RECORDED: dict[str, tuple[dict[str, Any], list[list[float]]]] = {
    "no momentum": (
        {"momentum": 0.0},
        [[0.95, -1.9, 0.5], [0.9249999999999999, -2.1, 0.4999999], [0.975, -2.15, 0.5], [0.875, -2.25, 0.4]],
    ),
    "momentum": (
        {"momentum": 0.9},
        [[0.95, -1.9, 0.5], [0.88, -2.01, 0.4999999], [0.867, -2.159, 0.49999991], [0.7553, -2.3931, 0.399999919]],
    ),
    "Nesterov and decay": (
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        [
            [0.886, -1.772, 0.4905],
            [0.773066, -2.021132, 0.47713031],
            [0.782211146, -2.1378972920000003, 0.46044689311],
            [0.5475373596259999, -2.3655561942520005, 0.25097740972990995],
        ],
    ),
}


@pytest.mark.parametrize("name", RECORDED)
def test_recorded(name: str) -> None:
    options, recorded = RECORDED[name]
    assert_recorded(Optimizer(learning_rate=0.1, **options), recorded)


@pytest.mark.parametrize("name", RECORDED)
def test_twenty_steps_equal_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    options = RECORDED[name][0]
    assert_equals_torch(
        Optimizer(learning_rate=1e-2, **options), lambda params: torch.optim.SGD(params.values(), lr=1e-2, **options)
    )


def test_the_state_is_the_momentum_alone_or_nothing() -> None:
    params = {"a": jnp.zeros((2, 3)), "b": jnp.zeros(4)}
    state = Optimizer(weight_decay=0.1).transformation().init(params)
    assert [leaf.shape for leaf in jax.tree.leaves(state)] == [(2, 3), (4,)]
    assert jax.tree.leaves(Optimizer(momentum=0.0).transformation().init(params)) == []


@pytest.mark.parametrize(("name", "value"), [("learning_rate", 0.0), ("weight_decay", -1.0), ("momentum", 1.0)])
def test_numbers_that_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^optimizer.{name}: expected a number .*, found {value}$"):
        Optimizer(**{name: value})


def test_nesterov_without_momentum_is_refused() -> None:
    sentence = "^optimizer.nesterov: expected false, since optimizer.momentum is 0, found True$"
    with pytest.raises(ValueError, match=sentence):
        Optimizer(momentum=0.0, nesterov=True)
