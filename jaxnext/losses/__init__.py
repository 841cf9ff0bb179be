"""What a loss is: the files of this folder are such, one a file.

The loss that is minimised is the sum of the examples' terms over the sum of their weights, both of the global batch;
examples that do not count have neither. Validation and evaluation report the plain cross-entropy whatever is trained
with, as timm does: losses of different runs stay comparable, and so do those that a schedule waits for.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from jaxnext.config.values import require

if TYPE_CHECKING:
    import jax


class Terms(NamedTuple):
    """What each example of a batch adds to a mean loss."""

    losses: "jax.Array"
    """``[N]``: to the numerator"""
    weights: "jax.Array | None"
    """``[N]``: to the denominator; ``None``: 1 each"""


class Loss(Protocol):
    """What each file's dataclass ``Loss`` offers; its fields are the options."""

    def terms(self, logits: "jax.Array", targets: "jax.Array") -> Terms:
        """Return what each example adds; pure, and local to each example.

        Args:
            logits: ``[N, classes]``.
            targets: ``[N]`` int32, class indices; or ``[N, classes]``, probabilities in the logits' dtype.

        Returns:
            in the logits' dtype.
        """
        ...


def require_class_weights(given: str | Sequence[float] | Mapping[str, float]) -> None:
    """Refuse weights of classes that are no finite numbers above 0 (ValueError names the key)."""
    numbers = given.values() if isinstance(given, Mapping) else () if isinstance(given, str) else given
    for number in numbers:
        require(math.isfinite(number) and number > 0, "loss.class_weights", "numbers above 0", number)
    require(isinstance(given, str) or len(given) > 0, "loss.class_weights", "a number for each class", given)


def distribution(logits: "jax.Array", targets: "jax.Array", label_smoothing: float = 0.0) -> "jax.Array":
    """Return targets as probabilities, smoothed as ``torch.nn.functional.cross_entropy`` does.

    Args:
        logits: ``[N, classes]``, for number and dtype.
        targets: as in ``Loss.terms``.
        label_smoothing: share that is spread over all classes, the target's own included.

    Returns:
        ``[N, classes]``.
    """
    import jax

    classes = logits.shape[-1]
    if targets.ndim == 1:
        targets = jax.nn.one_hot(targets, classes, dtype=logits.dtype)
    return targets * (1 - label_smoothing) + label_smoothing / classes if label_smoothing else targets


def class_weighted(weights: Sequence[float] | None, losses: "jax.Array", targets: "jax.Array") -> Terms:
    """Sum the classes' parts of each example's loss with the weights of the classes.

    The denominators are those of ``torch.nn.functional.cross_entropy(reduction="mean")``: the weight of the example's
    class where there is one, 1 where its target is probabilities.

    Args:
        weights: of the classes; ``None``: 1 each.
        losses: ``[N, classes]``.
        targets: as in ``Loss.terms``.
    """
    import jax.numpy as jnp

    if weights is None:
        return Terms(losses.sum(-1), None)
    row = jnp.asarray(weights, losses.dtype)
    return Terms((losses * row[None, :]).sum(-1), row[targets] if targets.ndim == 1 else None)
