"""Cross-entropy as PyTorch computes it."""

import dataclasses
from typing import TYPE_CHECKING, Literal

from jaxnext.config.values import require
from jaxnext.losses import Terms, class_weighted, distribution, require_class_weights

if TYPE_CHECKING:
    import jax


@dataclasses.dataclass(frozen=True)
class Loss:
    """``torch.nn.functional.cross_entropy``, of class indices and of probabilities."""

    label_smoothing: float = 0.0
    """share of each target that is spread evenly over all classes"""
    class_weights: Literal["none", "balanced"] | tuple[float, ...] | dict[str, float] = "none"
    """balanced: images / (classes * images of the class), as scikit-learn, from the training labels; or a number above
    0 for each class, by name or in the order of the outputs"""
    weights: tuple[float, ...] | None = None
    """of the outputs, which ``class_weights`` means; ``None``: 1 each"""

    def __post_init__(self) -> None:
        smoothing = self.label_smoothing
        require(0 <= smoothing < 1, "loss.label_smoothing", "a number from 0 to below 1", smoothing)
        require_class_weights(self.class_weights)

    def terms(self, logits: "jax.Array", targets: "jax.Array") -> Terms:
        """Return what each example adds to the mean loss; see ``jaxnext.losses.Loss``."""
        # Imported here so that --help, which lists the options, does not wait for JAX.
        import jax

        if self.label_smoothing == 0 and self.weights is None and targets.ndim == 1:
            return Terms(cross_entropy(logits, targets), None)
        expected = distribution(logits, targets, self.label_smoothing)
        return class_weighted(self.weights, -expected * jax.nn.log_softmax(logits), targets)


PLAIN = Loss()
"""Of a run that asks for nothing else, and of every validation."""


def cross_entropy(logits: "jax.Array", labels: "jax.Array") -> "jax.Array":
    """Return the label's negative log-likelihood, as ``torch.nn.CrossEntropyLoss(reduction="none")``.

    Args:
        logits: ``[N, classes]``.
        labels: ``[N]`` int32, class indices.

    Returns:
        ``[N]``, natural logarithm, dtype of the logits.
    """
    import jax
    import jax.numpy as jnp

    log_probabilities = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(log_probabilities, labels[:, None], axis=-1)[:, 0]
