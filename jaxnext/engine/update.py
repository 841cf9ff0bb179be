"""From gradients to the next state: the update of the parameters, gathered and averaged as a run asks for."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxnext.engine import accumulation
from jaxnext.engine.accumulation import Accumulation
from jaxnext.engine.ema import MovingAverage
from jaxnext.engine.state import TrainState
from jaxnext.models.freezing import join, split


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What an update does beside the optimizer's."""

    accumulation: Accumulation | None = None
    """``None``: each batch makes an update"""
    average: MovingAverage | None = None
    """``None``: there is none"""


EACH_BATCH = Recipe()
"""Nothing else."""


def update(
    state: TrainState,
    gradients: dict[str, Any],
    batch_stats: dict[str, Any],
    total: jax.Array,
    *,
    optimizer: optax.GradientTransformation,
    recipe: Recipe,
    frozen: tuple[str, ...],
) -> TrainState:
    """Return the state after a batch, with the number of the step as it was.

    Args:
        state: before it.
        gradients: of the parameters that are trained, summed over the devices.
        batch_stats: after it.
        total: examples of the batch that count, over all devices. Without one nothing changes.
        optimizer: from an optimizer's ``transformation``.
        recipe: what else is done.
        frozen: parts that are not trained.
    """
    trained, fixed = split(state.params, frozen) if frozen else (state.params, {})
    if recipe.accumulation is None or state.accumulated is None:
        params, moments = _stepped(state, gradients, trained, optimizer)
        # Without a gradient, the moments and the weight decay would still move the parameters.
        params, batch_stats, moments = jax.tree.map(
            lambda new, old: jnp.where(total > 0, new, old),
            (params, batch_stats, moments),
            (trained, state.batch_stats, state.optimizer),
        )
        params = join(params, fixed) if frozen else params
        average = state.average
        if recipe.average is not None and average is not None:
            moved = recipe.average.step(average, params, batch_stats)
            average = jax.tree.map(lambda new, old: jnp.where(total > 0, new, old), moved, average)
        return state._replace(params=params, batch_stats=batch_stats, optimizer=moments, average=average)
    batch_stats = jax.tree.map(lambda new, old: jnp.where(total > 0, new, old), batch_stats, state.batch_stats)
    gathered = accumulation.gathered(state.accumulated, gradients, total > 0)
    state = state._replace(batch_stats=batch_stats, accumulated=gathered)
    now = recipe.accumulation.due(state.step) & (gathered.batches > 0)

    def step(state: TrainState) -> TrainState:
        params, moments = _stepped(state, accumulation.mean(gathered), trained, optimizer)
        params = join(params, fixed) if frozen else params
        average = state.average
        if recipe.average is not None and average is not None:
            average = recipe.average.step(average, params, batch_stats)
        empty = jax.tree.map(jnp.zeros_like, gathered)
        return state._replace(params=params, optimizer=moments, average=average, accumulated=empty)

    return lax.cond(now, step, lambda state: state, state)


def _stepped(
    state: TrainState, gradients: dict[str, Any], params: dict[str, Any], optimizer: optax.GradientTransformation
) -> tuple[dict[str, Any], optax.OptState]:
    """Return parameters and moments after an update of the optimizer."""
    directions, moments = optimizer.update(gradients, state.optimizer, params)
    return jax.tree.map(lambda p, d: p - state.learning_rate * d, params, directions), moments
