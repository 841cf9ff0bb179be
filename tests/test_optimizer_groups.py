from typing import Any

import jax.numpy as jnp
import numpy as np
import optax

from jaxnext.engine.optimizer import clipped
from jaxnext.engine.optimizer_groups import grouped

STEM = {"stem_norm": {"scale": jnp.array([1.0])}}
STAGE = {"stage2_block1": {"norm1": {"scale": jnp.array([2.0])}}}
HEAD = {"output": {"bias": jnp.array([3.0])}}
ALL = {"backbone": {**STEM, **STAGE}, "head": HEAD}
LATER = [("stage2",), ("stem",)]


def test_each_group_has_a_state_of_its_own() -> None:
    optimizer: Any = grouped(optax.scale_by_adam(), LATER)
    first: Any = optimizer.init({"head": HEAD})
    assert len(first) == 1
    every: Any = optimizer.init(ALL)
    assert [list(state.mu) for state in every] == [["head"], ["backbone"], ["backbone"]]
    assert [list(state.mu["backbone"]) for state in every[1:]] == [["stage2_block1"], ["stem_norm"]]


def test_parts_that_come_later_begin_as_at_a_first_step() -> None:
    optimizer: Any = grouped(optax.scale_by_adam(), LATER)
    state: Any = optimizer.init({"head": HEAD})
    for _ in range(3):
        _, state = optimizer.update({"head": HEAD}, state, {"head": HEAD})
    both = {"backbone": STAGE, "head": HEAD}
    new: Any = optimizer.init(both)
    directions, state = optimizer.update(both, (*state, *new[1:]), both)
    # Adam's first step is the sign of the gradient, whatever its size.
    np.testing.assert_allclose(directions["backbone"]["stage2_block1"]["norm1"]["scale"], [1.0], rtol=1e-4)
    assert [int(group.count) for group in state] == [4, 1]  # pyright: ignore


def test_what_comes_first_sees_the_gradients_of_all_groups() -> None:
    optimizer: Any = grouped(optax.identity(), [("stem",)], clipped(1.0))
    gradients = {"backbone": {"stem_norm": {"scale": jnp.array([3.0])}}, "head": {"output": {"bias": jnp.array([4.0])}}}
    directions, _ = optimizer.update(gradients, optimizer.init(gradients), gradients)
    found: Any = directions
    np.testing.assert_allclose(found["backbone"]["stem_norm"]["scale"], [0.6], rtol=1e-6)
    np.testing.assert_allclose(found["head"]["output"]["bias"], [0.8], rtol=1e-6)
