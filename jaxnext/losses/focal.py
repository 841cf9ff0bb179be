"""Focal loss of softmax probabilities.

Lin, Goyal, Girshick, He, Dollár: Focal Loss for Dense Object Detection, https://arxiv.org/abs/1708.02002, equation 5:
-alpha_t (1 - p_t)^gamma log p_t. There p_t is a sigmoid's, as in torchvision's ``sigmoid_focal_loss``; here it is the
softmax probability of the class, and alpha its weight.
"""

import dataclasses
import math
from typing import TYPE_CHECKING, Literal

from jaxnext.config.values import require
from jaxnext.losses import Terms, class_weighted, distribution, require_class_weights

if TYPE_CHECKING:
    import jax


@dataclasses.dataclass(frozen=True)
class Loss:
    """Cross-entropy in which what is known well counts less; with ``gamma`` 0 it is ``cross_entropy``.

    Of a target of probabilities each class's part is -t (1 - p)^gamma log p. Denominators are those of
    ``cross_entropy``.
    """

    gamma: float = 2.0
    """power of 1 - p, p the probability of the label; 0: cross-entropy"""
    class_weights: Literal["none", "balanced"] | tuple[float, ...] | dict[str, float] = "none"
    """balanced: images / (classes * images of the class), as scikit-learn, from the training labels; or a number above
    0 for each class, by name or in the order of the outputs"""
    weights: tuple[float, ...] | None = None
    """of the outputs, which ``class_weights`` means; ``None``: 1 each"""

    def __post_init__(self) -> None:
        gamma = self.gamma
        require(math.isfinite(gamma) and gamma >= 0, "loss.gamma", "a number of at least 0", gamma)
        require_class_weights(self.class_weights)

    def terms(self, logits: "jax.Array", targets: "jax.Array") -> Terms:
        """Return what each example adds to the mean loss; see ``jaxnext.losses.Loss``."""
        # Imported here so that --help, which lists the options, does not wait for JAX.
        import jax
        import jax.numpy as jnp

        logs = jax.nn.log_softmax(logits)
        losses = -distribution(logits, targets) * logs
        if self.gamma:
            others = -jnp.expm1(logs)
            # A power below 1 has no derivative at 0, which would make the whole gradient NaN.
            inside = jnp.where(others > 0, others, 1)
            losses *= jnp.where(others > 0, inside**self.gamma, 0)
        return class_weighted(self.weights, losses, targets)
