"""What a training step changes, as one value."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnext.engine import accumulation, ema
from jaxnext.engine.accumulation import Accumulated
from jaxnext.engine.ema import Average
from jaxnext.mix import Drawn
from jaxnext.models.freezing import split


class TrainState(NamedTuple):
    """Everything a training step reads and writes; its leaves live on the devices, the same on each."""

    step: jax.Array
    """int32 scalar: training steps done."""
    params: dict[str, Any]
    batch_stats: dict[str, Any]
    optimizer: optax.OptState
    learning_rate: jax.Array
    """scalar in the parameters' dtype."""
    key: jax.Array
    """random key of the run; a step folds its number and each example's position into it."""
    accumulated: Accumulated | None = None
    """gradients since the last update; ``None`` where each batch makes one"""
    average: Average | None = None
    """moving average of the network; ``None`` where there is none"""


class Batch(NamedTuple):
    """One training or evaluation batch; the leading axis is split over the devices."""

    image: jax.Array
    """``[N, S, S, 3]`` uint8."""
    label: jax.Array
    """``[N]`` int32."""
    mask: jax.Array
    """``[N]`` of bool; ``False`` is padding."""
    stop: jax.Array | None = None
    """``[D]`` int32, one for each device: 1 where its process was asked to stop; ``None`` in a run of one process."""


class TrainBatch(NamedTuple):
    """A training batch with the parameters of its augmentation and of its mixing."""

    batch: Batch
    augmentation: tuple[Any, ...]
    """what ``augment.draw_all`` gives; the leading axis of every array is that of the batch"""
    mix: Drawn | None = None
    """what ``Mix.draw`` gives, a row for each device; ``None`` in a run without mixing"""


def create(
    variables: dict[str, Any],
    optimizer: optax.GradientTransformation,
    learning_rate: float,
    seed: int,
    *,
    frozen: tuple[str, ...] = (),
    accumulates: bool = False,
    averages: bool = False,
) -> TrainState:
    """Return the state before the first step.

    Args:
        variables: the model's ``params`` and ``batch_stats``.
        optimizer: from an optimizer's ``transformation``.
        learning_rate: of the first epoch.
        seed: of dropout.
        frozen: parts that are not trained; the optimizer has no state of them.
        accumulates: whether several batches make an update.
        averages: whether there is a moving average.
    """
    params = variables["params"]
    dtype = jax.tree.leaves(params)[0].dtype
    trained = split(params, frozen)[0] if frozen else params
    return TrainState(
        jnp.zeros((), jnp.int32),
        params,
        variables["batch_stats"],
        initial_moments(optimizer, trained),
        jnp.asarray(learning_rate, dtype),
        jax.random.key(seed),
        accumulation.start(trained) if accumulates else None,
        ema.start(variables) if averages else None,
    )


def initial_moments(optimizer: optax.GradientTransformation, params: dict[str, Any]) -> optax.OptState:
    """Return what ``optimizer.init`` gives: count and moments of zero, here in host memory.

    Optax would have a program compiled for each shape of a parameter, a second or more for all of them.

    Args:
        optimizer: whose state begins with zeros, as all of Optax's that are used here.
        params: the parameters, of which only shapes and dtypes are read.
    """
    shapes = jax.eval_shape(optimizer.init, params)
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
