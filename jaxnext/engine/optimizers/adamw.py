"""AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019) as PyTorch computes it."""

import dataclasses
from typing import TYPE_CHECKING

from jaxnext.engine.adam_options import AdamOptions

if TYPE_CHECKING:
    import optax


@dataclasses.dataclass(frozen=True)
class Optimizer(AdamOptions):
    """``torch.optim.AdamW``."""

    learning_rate: float = 1e-3
    """step size, which the schedule starts from"""
    weight_decay: float = 0.01
    """share of the parameters that a step of size 1 takes off; not in the moments"""

    def own(self) -> tuple["optax.GradientTransformation", ...]:
        """Return Adam before its weight decay, which the learning rate multiplies as it does the step."""
        return self.adam(), *self.decay(self.weight_decay)
