"""Adam as PyTorch computes it."""

import dataclasses
from typing import TYPE_CHECKING

from jaxnext.engine.optimizer import SharedOptions, require_not_negative, require_positive, require_share

if TYPE_CHECKING:
    import optax


@dataclasses.dataclass(frozen=True)
class Optimizer(SharedOptions):
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
        super().__post_init__()
        require_positive("learning_rate", self.learning_rate)
        require_not_negative("weight_decay", self.weight_decay)
        require_share("beta1", self.beta1)
        require_share("beta2", self.beta2)
        require_positive("eps", self.eps)

    def own(self) -> tuple["optax.GradientTransformation", ...]:
        """Return Adam behind its weight decay: an L2 term added before the moments (AdamW decouples it)."""
        import optax

        return *self.decay(self.weight_decay), optax.scale_by_adam(self.beta1, self.beta2, self.eps)
