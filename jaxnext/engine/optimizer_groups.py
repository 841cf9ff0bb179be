"""An optimizer that knows which parts of a network it has trained since when."""

from collections.abc import Sequence
from typing import Any

import optax

from jaxnext.models.freezing import join, split


def grouped(
    optimizer: optax.GradientTransformation,
    later: Sequence[tuple[str, ...]],
    first: optax.GradientTransformation | None = None,
) -> optax.GradientTransformation:
    """Return an optimizer with a state of its own, count of updates included, for each group of parts.

    So the moments of parts that are trained later begin as at a first step, as PyTorch's do. Its state is a tuple: of
    the parts trained from the beginning, and of each group of ``later`` that is among the parameters it is given.

    Args:
        optimizer: of each group.
        later: groups of parts in the order in which they are trained; their parameters are given together.
        first: of all gradients together, before; without a state. ``None``: nothing.
    """

    def groups(params: Any) -> list[dict[str, Any]]:
        found = [split(params, [part for group in later for part in group])[0]]
        found += [split(params, group)[1] for group in later]
        return [group for group in found if group]

    def init(params: Any) -> optax.OptState:
        return tuple(optimizer.init(group) for group in groups(params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, optax.OptState]:
        if first is not None:
            updates, _ = first.update(updates, optax.EmptyState(), params)
        given = zip(groups(updates), state, groups(params), strict=True)
        found: list[Any] = [optimizer.update(gradients, moments, values) for gradients, moments, values in given]
        return join(*(directions for directions, _ in found)), tuple(moments for _, moments in found)

    return optax.GradientTransformation(init, update)
