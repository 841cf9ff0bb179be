"""Metrics as sums and counts, which add up over steps and devices; divided only to be shown."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from jaxnext.losses.cross_entropy import cross_entropy

TOP = 5
"""The K of top-K accuracy."""


def metric_sums(
    logits: jax.Array,
    labels: jax.Array,
    mask: jax.Array,
    loss: Callable[[jax.Array, jax.Array], jax.Array] = cross_entropy,
) -> dict[str, jax.Array]:
    """Return sums over the examples that count.

    Args:
        logits: ``[N, classes]``.
        labels: ``[N]`` int32.
        mask: ``[N]`` of bool; padding is ``False``.
        loss: of logits and labels, ``[N]``.

    Returns:
        ``loss`` (sum of losses, dtype of the logits), and int32 ``count``, ``correct`` (the label's logit is
        the first of the highest), ``correct_top5`` (fewer than five logits are higher than the label's, so that a tie
        counts for the label), ``class_count`` and ``class_correct`` (``[classes]``).
    """
    classes = logits.shape[-1]
    right = mask & (logits.argmax(-1) == labels)
    label_logits = jnp.take_along_axis(logits, labels[:, None], axis=-1)
    rank = jnp.sum(logits > label_logits, axis=-1)
    ones = mask.astype(jnp.int32)
    return {
        "loss": jnp.sum(jnp.where(mask, loss(logits, labels), 0)),
        "count": ones.sum(),
        "correct": right.sum(dtype=jnp.int32),
        "correct_top5": jnp.sum(mask & (rank < TOP), dtype=jnp.int32),
        "class_count": jnp.zeros(classes, jnp.int32).at[labels].add(ones),
        "class_correct": jnp.zeros(classes, jnp.int32).at[labels].add(right.astype(jnp.int32)),
    }


LOSS_WEIGHT = "loss_weight"
"""The sum by which that of losses is divided, where examples weigh differently."""

NONFINITE = "nonfinite"
"""The sum that counts training steps whose loss or gradients are not finite, in a run that leaves those out."""


class Accumulator:
    """Adds up metric sums on the host, in float64 and int64."""

    def __init__(self, sums: Mapping[str, np.ndarray] | None = None) -> None:
        self.sums: dict[str, np.ndarray] = {name: np.asarray(value) for name, value in (sums or {}).items()}

    def add(self, sums: Mapping[str, jax.Array | np.ndarray]) -> float:
        """Add one step's sums and return its mean loss."""
        host = {name: np.asarray(value) for name, value in sums.items()}
        for name, value in host.items():
            wide = value.astype(np.int64 if np.issubdtype(value.dtype, np.integer) else np.float64)
            self.sums[name] = self.sums[name] + wide if name in self.sums else wide
        return float(host["loss"]) / (float(host[_divisor("loss", host)]) or 1)

    def mean(self, name: str) -> float:
        """Return a sum divided by the number of examples, the loss by their weights if it has such; NaN before any."""
        divisor = float(self.sums[_divisor(name, self.sums)]) if self.sums else 0
        return float(self.sums[name]) / divisor if divisor else float("nan")


def _divisor(name: str, sums: Mapping[str, np.ndarray]) -> str:
    return LOSS_WEIGHT if name == "loss" and LOSS_WEIGHT in sums else "count"
