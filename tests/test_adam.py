import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from descent import assert_equals_torch, assert_recorded, descend

from jaxnext.engine.optimizers.adam import Optimizer


# Recorded with torch.optim.Adam of PyTorch 2.13 in float64, from [1, -2, 0.5] with learning rate 0.1.
@pytest.mark.parametrize(
    ("weight_decay", "recorded"),
    [
        (
            0.0,
            [
                [0.900000002, -1.900000001, 0.5],
                [0.8067820404774624, -1.9366103534720749, 0.4266237549950832],
                [0.7957037336010943, -1.9781754731467738, 0.431087325290785],
                [0.7437554127304636, -2.0326413433847894, 0.37297449546318817],
            ],
        ),
        (
            0.1,
            [
                [0.9000000016666666, -1.9000000008333333, 0.400000019999996],
                [0.8050097658613199, -1.9250178784643248, 0.3011872631387119],
                [0.775511505150508, -1.953127270691488, 0.2048714013918192],
                [0.7145060066257698, -1.9947769845934795, 0.14144613921303467],
            ],
        ),
    ],
)
def test_recorded(weight_decay: float, recorded: list[list[float]]) -> None:
    assert_recorded(Optimizer(learning_rate=0.1, weight_decay=weight_decay), recorded)


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
@pytest.mark.parametrize("moments", [{}, {"beta1": 0.5, "beta2": 0.9, "eps": 1e-3}])
def test_twenty_steps_equal_torch(weight_decay: float, moments: dict[str, float]) -> None:
    torch = pytest.importorskip("torch")
    config = Optimizer(learning_rate=1e-2, weight_decay=weight_decay, **moments)
    betas, eps = (config.beta1, config.beta2), config.eps
    assert_equals_torch(
        config,
        lambda params: torch.optim.Adam(params.values(), lr=1e-2, betas=betas, eps=eps, weight_decay=weight_decay),
    )


def test_decay_is_in_the_moments_and_not_beside_them() -> None:
    # With a zero gradient Adam's first step on the penalty alone has the size of the step, whatever the weight; AdamW's
    # would be proportional to it.
    config = Optimizer(learning_rate=1.0, weight_decay=0.1)
    (after,) = descend(config, jnp.array([4.0, -2.0, 0.0]), [jnp.zeros(3)])
    np.testing.assert_allclose(after, [3.0, -1.0, 0.0], atol=1e-5)


def test_the_state_holds_moments_and_count_only() -> None:
    params = {"a": jnp.zeros((2, 3)), "b": jnp.zeros(4)}
    for weight_decay in (0.0, 0.1):
        state: optax.OptState = Optimizer(weight_decay=weight_decay).transformation().init(params)
        assert [leaf.shape for leaf in jax.tree.leaves(state)] == [(), (2, 3), (4,), (2, 3), (4,)]


@pytest.mark.parametrize("name", ["learning_rate", "weight_decay", "eps"])
@pytest.mark.parametrize("value", [float("inf"), float("nan"), -1.0])
def test_numbers_that_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^optimizer.{name}: expected a number .*, found {value}$"):
        Optimizer(**{name: value})
