import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from benchmark_cases import CONFIG, Ticks
from benchmarks import jax_steps

from jaxnext.augment.original import Drawn
from jaxnext.engine import parallel, state, steps
from jaxnext.engine.network import network
from jaxnext.engine.state import Batch, TrainBatch
from jaxnext.models.initialisation import initialise

VARIABLES = initialise(network(CONFIG.model, 5, "float32"), 0)
IMAGES = np.random.default_rng(0).standard_normal((2, 32, 32, 3), np.float32)


def test_training_steps_follow_each_other():
    prepared = jax_steps.prepare_training(CONFIG, 5, VARIABLES, IMAGES, Ticks())
    assert (prepared.candidate.name, prepared.compile_seconds) == ("jaxnext", 1)
    assert prepared.device_peak_memory_bytes is None
    weights = sum(leaf.nbytes for leaf in jax.tree.leaves(VARIABLES["params"]))
    assert prepared.compiled_memory_bytes is not None
    # Parameters and two moments.
    assert prepared.compiled_memory_bytes > 3 * weights
    losses = [float(prepared.candidate.call()[1]["loss"]) for _ in range(8)]
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_the_step_is_that_of_training():
    mesh = parallel.mesh_of(jax.devices()[:1])
    adam, model = CONFIG.optimizer.build().transformation(), network(CONFIG.model, 5, "float32", parallel.AXIS)
    pixels = np.random.default_rng(0).integers(0, 256, IMAGES.shape, np.uint8)
    labels, mask = np.array([0, 3], np.int32), np.ones(2, bool)
    nothing = Drawn(
        np.full(2, 4, np.int32),
        np.tile(np.array([65536, 0, 0, 0, 65536, 0], np.int32), (2, 1)),
        np.ones((2, 3), np.float32),
        np.tile(np.arange(3, dtype=np.int32), (2, 1)),
    )

    def fresh() -> state.TrainState:
        return parallel.replicate(state.create(jax.tree.map(jnp.array, VARIABLES), adam, 1e-4, 0), mesh)

    batch = parallel.split_batch(TrainBatch(Batch(pixels, labels, mask), nothing), mesh)
    expected, sums = steps.compile_train_step(model, adam, mesh)(fresh(), batch)
    images = steps.normalize(jnp.asarray(pixels), model.dtype)
    found, own_sums = jax_steps.compile_training(model, adam, mesh)(fresh(), images, labels, mask)
    assert float(own_sums["loss"]) == pytest.approx(float(sums["loss"]), rel=1e-6)
    moved = jax.tree.map(lambda new, old: np.abs(new - old).max() > 0, found.params, VARIABLES["params"])
    assert all(jax.tree.leaves(moved))
    for one, other in zip(jax.tree.leaves(found.batch_stats), jax.tree.leaves(expected.batch_stats), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_inference_gives_probabilities(precision):
    config = dataclasses.replace(CONFIG, precision=precision)
    pixels = np.random.default_rng(0).integers(0, 256, IMAGES.shape, np.uint8)
    prepared = jax_steps.prepare_inference(config, 5, VARIABLES, pixels, Ticks())
    probabilities = np.asarray(prepared.candidate.call())
    assert probabilities.shape == (2, 5)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)
    mesh = parallel.mesh_of(jax.devices()[:1])
    unfolded = steps.compile_predict_step(network(config.model, 5, precision), mesh)(VARIABLES, pixels)
    rounding = float(jnp.finfo(jnp.dtype(precision)).eps)
    np.testing.assert_allclose(probabilities, unfolded, atol=10 * rounding)
    assert prepared.compile_seconds == 1
