import jax
import jax.numpy as jnp
import numpy as np
import pytest
from descent import assert_equals_torch, assert_recorded, descend

from jaxnext.engine.optimizers.adamw import Optimizer


# Recorded with torch.optim.AdamW of PyTorch 2.13 in float64, from [1, -2, 0.5] with learning rate 0.1.
@pytest.mark.parametrize(
    ("config", "recorded"),
    [
        (
            Optimizer(learning_rate=0.1),
            [
                [0.899000002, -1.898000001, 0.4995],
                [0.8048830404754623, -1.9327123534710748, 0.4256242549950832],
                [0.7929998505586188, -1.9723447607923026, 0.4296622010357899],
                [0.7402585298374296, -2.0248382862695258, 0.3711197090071573],
            ],
        ),
        (
            Optimizer(learning_rate=0.1, weight_decay=0.1),
            [
                [0.890000002, -1.880000001, 0.495],
                [0.7878820404574624, -1.897810353462075, 0.4166737549950832],
                [0.7689249131765196, -1.920397369602153, 0.4169705877408341],
                [0.7092873431741238, -1.9556592661441472, 0.354688052035829],
            ],
        ),
    ],
    ids=["its default decay", "more decay"],
)
def test_recorded(config: Optimizer, recorded: list[list[float]]) -> None:
    assert_recorded(config, recorded)


@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
def test_twenty_steps_equal_torch(weight_decay: float) -> None:
    torch = pytest.importorskip("torch")
    assert_equals_torch(
        Optimizer(learning_rate=1e-2, weight_decay=weight_decay, beta1=0.5, beta2=0.9, eps=1e-3),
        lambda params: torch.optim.AdamW(
            params.values(), lr=1e-2, betas=(0.5, 0.9), eps=1e-3, weight_decay=weight_decay
        ),
    )


def test_decay_is_beside_the_moments() -> None:
    # A zero gradient leaves the decay alone: a tenth of each parameter.
    (after,) = descend(Optimizer(learning_rate=1.0, weight_decay=0.1), jnp.array([4.0, -2.0, 0.0]), [jnp.zeros(3)])
    np.testing.assert_allclose(after, [3.6, -1.8, 0.0], rtol=1e-6)


def test_the_state_is_that_of_adam() -> None:
    state = Optimizer().transformation().init({"a": jnp.zeros((2, 3)), "b": jnp.zeros(4)})
    assert [leaf.shape for leaf in jax.tree.leaves(state)] == [(), (2, 3), (4,), (2, 3), (4,)]


@pytest.mark.parametrize(
    ("name", "value"), [("learning_rate", 0.0), ("weight_decay", -1.0), ("beta1", 1.0), ("beta2", -0.1), ("eps", 0.0)]
)
def test_numbers_that_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^optimizer.{name}: expected a number .*, found {value}$"):
        Optimizer(**{name: value})
