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
    skip: bool = False
    """whether the run goes on after a batch that counts for nothing, so that its gradients are looked at, too"""
    grouped: bool = False
    """whether vectors of one size are updated together, by fewer kernels; the numbers are the same"""


EACH_BATCH = Recipe()
"""Nothing else."""


def update(
    state: TrainState,
    gradients: dict[str, Any],
    batch_stats: dict[str, Any],
    counts: jax.Array,
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
        counts: whether the batch does, bool scalar, the same on all devices. If not, nothing changes.
        optimizer: from an optimizer's ``transformation``.
        recipe: what else is done.
        frozen: parts that are not trained.
    """
    if recipe.accumulation is None or state.accumulated is None:
        moved = _moved(state, gradients, batch_stats, optimizer, recipe, frozen)._replace(batch_stats=batch_stats)
        # Without a gradient, the moments and the weight decay would still move the parameters.
        where = where_by_size if recipe.grouped else _where
        kept = {name: where(counts, getattr(moved, name), getattr(state, name)) for name in _MOVED}
        return state._replace(**kept)
    batch_stats = _where(counts, batch_stats, state.batch_stats)
    gathered = accumulation.gathered(state.accumulated, gradients, counts)
    state = state._replace(batch_stats=batch_stats, accumulated=gathered)
    now = recipe.accumulation.due(state.step) & (gathered.batches > 0)

    def step(state: TrainState) -> TrainState:
        moved = _moved(state, accumulation.mean(gathered), batch_stats, optimizer, recipe, frozen)
        return moved._replace(accumulated=jax.tree.map(jnp.zeros_like, gathered))

    return lax.cond(now, step, lambda state: state, state)


_MOVED = ("params", "batch_stats", "optimizer", "average")
"""Fields of the state that a batch that does not count leaves as they are."""


def _moved(
    state: TrainState,
    gradients: dict[str, Any],
    batch_stats: dict[str, Any],
    optimizer: optax.GradientTransformation,
    recipe: Recipe,
    frozen: tuple[str, ...],
) -> TrainState:
    """Return the state with parameters, moments and moving average after an update."""
    trained, fixed = split(state.params, frozen) if frozen else (state.params, {})
    directions, moments = optimizer.update(gradients, state.optimizer, trained)
    params = jax.tree.map(lambda p, d: p - state.learning_rate * d, trained, directions)
    params = join(params, fixed) if frozen else params
    average = state.average
    if recipe.average is not None and average is not None:
        average = recipe.average.step(average, params, batch_stats)
    return state._replace(params=params, optimizer=moments, average=average)


def _where(condition: jax.Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda new, old: jnp.where(condition, new, old), new, old)


TOGETHER_BY_SIZE = 8
"""Vectors that are chosen together at most: XLA fuses no more than 96 arrays, and Adam's update has seven for each."""


def where_by_size(condition: jax.Array, new: Any, old: Any) -> Any:
    """Choose as ``jax.tree.map(functools.partial(jnp.where, condition), new, old)``, vectors of one size at once.

    XLA for GPUs fuses what has made the vectors with the choice, and cuts the results out in the same kernel: what is a
    kernel for each vector otherwise is one for all of a group. Only where the old ones are not overwritten: XLA would
    copy each of them before.

    Args:
        condition: bool scalar.
        new: tree of arrays.
        old: the same, of the same shapes and dtypes.
    """
    leaves, structure = jax.tree.flatten(new)
    others = jax.tree.leaves(old)
    groups: dict[Any, list[int]] = {}
    for place, leaf in enumerate(leaves):
        if leaf.ndim == 1:
            groups.setdefault((leaf.size, leaf.dtype), []).append(place)
        else:
            leaves[place] = jnp.where(condition, leaf, others[place])
    for places in groups.values():
        for start in range(0, len(places), TOGETHER_BY_SIZE):
            some = places[start : start + TOGETHER_BY_SIZE]
            flat = [jnp.concatenate([each[place] for place in some]) for each in (leaves, others)]
            chosen = jnp.split(jnp.where(condition, *flat), len(some))
            for place, part in zip(some, chosen, strict=True):
                leaves[place] = part
    return jax.tree.unflatten(structure, leaves)


def all_finite(tree: Any) -> jax.Array:
    """Return whether every number of a tree of arrays is finite, bool scalar."""
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()
