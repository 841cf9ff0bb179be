"""What a training step changes, as one value."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxnext.engine.optimizers.adam import initial
from jaxnext.types import Augmentation


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
    """A training batch with the parameters of its augmentation."""

    batch: Batch
    augmentation: Augmentation


def create(
    variables: dict[str, Any], optimizer: optax.GradientTransformation, learning_rate: float, seed: int
) -> TrainState:
    """The state before the first step.

    Args:
        variables: the model's ``params`` and ``batch_stats``.
        optimizer: from ``training.optimizer.build``.
        learning_rate: of the first epoch.
        seed: of dropout.
    """
    params = variables["params"]
    dtype = jax.tree.leaves(params)[0].dtype
    return TrainState(
        jnp.zeros((), jnp.int32),
        params,
        variables["batch_stats"],
        initial(optimizer, params),
        jnp.asarray(learning_rate, dtype),
        jax.random.key(seed),
    )
