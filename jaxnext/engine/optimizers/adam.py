"""Adam as PyTorch computes it."""

import dataclasses
import math
from typing import TYPE_CHECKING

from jaxnext.config.values import require

if TYPE_CHECKING:
    import optax


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """``torch.optim.Adam``."""

    learning_rate: float = 1e-4
    """step size, which the schedule starts from"""
    weight_decay: float = 0.0
    """L2 penalty, added to the gradient as torch.optim.Adam does"""
    beta1: float = 0.9
    """decay of the running mean of gradients"""
    beta2: float = 0.999
    """decay of the running mean of squared gradients"""
    eps: float = 1e-8
    """added to the root of the squared gradients' mean"""

    def __post_init__(self) -> None:
        rate, decay = self.learning_rate, self.weight_decay
        require(math.isfinite(rate) and rate > 0, "optimizer.learning_rate", "a number above 0", rate)
        require(math.isfinite(decay) and decay >= 0, "optimizer.weight_decay", "a number of at least 0", decay)
        for name in ("beta1", "beta2"):
            value = getattr(self, name)
            require(0 <= value < 1, f"optimizer.{name}", "a number from 0 to below 1", value)
        require(math.isfinite(self.eps) and self.eps > 0, "optimizer.eps", "a number above 0", self.eps)

    def transformation(self) -> "optax.GradientTransformation":
        """Return what makes directions of gradients, without the step size, which the training step applies.

        Weight decay is PyTorch's for Adam: an L2 term added to the gradient before the moments (AdamW decouples it).
        """
        # Imported here so that --help, which lists the options, does not wait for JAX.
        import optax

        adam = optax.scale_by_adam(self.beta1, self.beta2, self.eps)
        if self.weight_decay == 0:
            return adam
        return optax.chain(optax.add_decayed_weights(self.weight_decay), adam)
