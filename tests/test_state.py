from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnext.augment.original import Drawn
from jaxnext.engine.optimizers.adam import Optimizer
from jaxnext.engine.state import Batch, TrainBatch, TrainState, create, initial_moments

VARIABLES = {
    "params": {"head": {"output": {"kernel": np.ones((2, 3), np.float32), "bias": np.zeros(3, np.float32)}}},
    "batch_stats": {"backbone": {"stem_norm": {"mean": np.full(2, 5, np.float32)}}},
}


def test_create() -> None:
    state = create(VARIABLES, Optimizer().transformation(), 1e-4, seed=7)
    assert state.step.dtype == jnp.int32
    assert state.step.shape == ()
    assert int(state.step) == 0
    assert state.params is VARIABLES["params"]
    assert state.batch_stats is VARIABLES["batch_stats"]
    assert state.learning_rate.dtype == jnp.float32
    assert float(state.learning_rate) == np.float32(1e-4)
    assert [np.asarray(leaf).any() for leaf in jax.tree.leaves(state.optimizer)] == [False] * 5


def test_the_key_is_a_function_of_the_seed() -> None:
    keys = [jax.random.key_data(create(VARIABLES, Optimizer().transformation(), 1.0, seed).key) for seed in (0, 1, 0)]
    assert (keys[0] == keys[2]).all()
    assert (keys[0] != keys[1]).any()


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_every_allowed_seed_makes_a_key(seed: int) -> None:
    assert create(VARIABLES, Optimizer().transformation(), 1.0, seed).key.shape == ()


def test_the_learning_rate_has_the_parameters_precision() -> None:
    with jax.enable_x64(True):
        variables = jax.tree.map(lambda leaf: leaf.astype(np.float64), VARIABLES)
        assert float(create(variables, Optimizer().transformation(), 1e-4, 0).learning_rate) == 1e-4


def test_states_and_batches_are_trees_of_arrays() -> None:
    state = create(VARIABLES, Optimizer().transformation(), 1e-4, 0)
    # step, 2 parameters, 1 statistic, count and twice 2 moments, learning rate, key
    assert len(jax.tree.leaves(state)) == 1 + 2 + 1 + 5 + 1 + 1
    assert isinstance(jax.tree.map(lambda leaf: leaf, state), TrainState)
    batch = Batch(jnp.zeros((2, 4, 4, 3), jnp.uint8), jnp.zeros(2, jnp.int32), jnp.ones(2, bool))
    counts, factors = np.zeros(2, np.int32), np.zeros(2, np.float32)
    augmentation = Drawn(counts, counts, factors, counts)
    assert len(jax.tree.leaves(TrainBatch(batch, augmentation))) == 3 + 4


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_initial_moments_are_what_optax_begins_with(weight_decay: float, dtype: Any) -> None:
    with jax.enable_x64(dtype == np.float64):
        params = {"a": np.ones((2, 3), dtype), "b": {"c": np.ones(4, dtype)}}
        optimizer = Optimizer(weight_decay=weight_decay).transformation()
        found, expected = initial_moments(optimizer, params), optimizer.init(params)
        assert jax.tree.structure(found) == jax.tree.structure(expected)
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
