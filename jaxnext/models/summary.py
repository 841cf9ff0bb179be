"""How many parameters the parts of a network have."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnext.errors import JaxnextError
from jaxnext.models.classifier import Classifier
from jaxnext.models.parts import part_names, part_of
from jaxnext.tree import flatten


def variable_shapes(model: Classifier) -> dict[str, Any]:
    """Return a network's variables as a nested dict of ``jax.ShapeDtypeStruct``; computes nothing."""
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    return jax.eval_shape(lambda key, x: model.init(key, x, train=False), jax.random.key(0), images)


def parameter_counts(params: Mapping[str, Any]) -> dict[str, int]:
    """Return the number of parameters of each part: the backbone's stem and stages, attention, head; in that order.

    Args:
        params: the ``params`` collection, arrays or shapes.
    """
    counts: dict[str, int] = {}
    for path, leaf in flatten(params).items():
        part = part_of(path)
        counts[part] = counts.get(part, 0) + int(np.prod(leaf.shape, dtype=np.int64))
    return {part: counts[part] for part in part_names(params)}


def summary(params: Mapping[str, Any]) -> str:
    """Return a table, one part a line and the total last, thousands separated by commas."""
    counts = parameter_counts(params)
    rows = [*counts.items(), ("total", sum(counts.values()))]
    width = max(len(f"{count:,}") for _, count in rows)
    return "\n".join(f"{part:<12}{count:>{width},} parameters" for part, count in rows)


def check_size(params: Mapping[str, Any], most: int) -> None:
    """Refuse a network with more than ``most`` parameters.

    Raises:
        JaxnextError: with both numbers.
    """
    total = sum(parameter_counts(params).values())
    if total > most:
        raise JaxnextError(
            f"model.max_parameters: expected at most {most:,} parameters, found {total:,}; "
            f"choose a smaller network or raise the limit with --model.max_parameters {total}"
        )
