"""Metrics as sums and counts, which add up over steps and devices; divided only to be shown."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from jaxnext.losses import cross_entropy

TOP = 5
"""The K of top-K accuracy."""


def metric_sums(logits: jax.Array, labels: jax.Array, mask: jax.Array) -> dict[str, jax.Array]:
    """Return sums over the examples that count.

    Args:
        logits: ``[N, classes]``.
        labels: ``[N]`` int32.
        mask: ``[N]`` of bool; padding is ``False``.

    Returns:
        ``loss`` (sum of cross-entropies, dtype of the logits), and int32 ``count``, ``correct`` (the label's logit is
        the first of the highest), ``correct_top5`` (fewer than five logits are higher than the label's, so that a tie
        counts for the label), ``class_count`` and ``class_correct`` (``[classes]``).
    """
    classes = logits.shape[-1]
    right = mask & (logits.argmax(-1) == labels)
    label_logits = jnp.take_along_axis(logits, labels[:, None], axis=-1)
    rank = jnp.sum(logits > label_logits, axis=-1)
    ones = mask.astype(jnp.int32)
    return {
        "loss": jnp.sum(jnp.where(mask, cross_entropy(logits, labels), 0)),
        "count": ones.sum(),
        "correct": right.sum(dtype=jnp.int32),
        "correct_top5": jnp.sum(mask & (rank < TOP), dtype=jnp.int32),
        "class_count": jnp.zeros(classes, jnp.int32).at[labels].add(ones),
        "class_correct": jnp.zeros(classes, jnp.int32).at[labels].add(right.astype(jnp.int32)),
    }


class Accumulator:
    """Adds up metric sums on the host, in float64 and int64."""

    def __init__(self, sums: Mapping[str, np.ndarray] | None = None) -> None:
        self.sums: dict[str, np.ndarray] = {name: np.asarray(value) for name, value in (sums or {}).items()}

    def add(self, sums: Mapping[str, jax.Array]) -> float:
        """Add one step's sums and return its mean loss."""
        host = {name: np.asarray(value) for name, value in sums.items()}
        for name, value in host.items():
            wide = value.astype(np.int64 if np.issubdtype(value.dtype, np.integer) else np.float64)
            self.sums[name] = self.sums[name] + wide if name in self.sums else wide
        return float(host["loss"]) / max(int(host["count"]), 1)

    def mean(self, name: str) -> float:
        """Return a sum divided by the number of examples; NaN before any."""
        count = int(self.sums["count"]) if self.sums else 0
        return float(self.sums[name]) / count if count else float("nan")
