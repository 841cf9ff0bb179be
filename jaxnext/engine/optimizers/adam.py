"""Adam as PyTorch computes it."""

import dataclasses
from typing import TYPE_CHECKING

from jaxnext.engine.adam_options import AdamOptions

if TYPE_CHECKING:
    import optax


@dataclasses.dataclass(frozen=True)
class Optimizer(AdamOptions):
    """``torch.optim.Adam``."""

    learning_rate: float = 1e-4
    """step size, which the schedule starts from"""
    weight_decay: float = 0.0
    """L2 penalty, added to the gradient as torch.optim.Adam does"""

    def own(self) -> tuple["optax.GradientTransformation", ...]:
        """Return Adam behind its weight decay: an L2 term added before the moments (AdamW decouples it)."""
        return *self.decay(self.weight_decay), self.adam()
