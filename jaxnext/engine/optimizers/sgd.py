"""Stochastic gradient descent with momentum as PyTorch computes it."""

import dataclasses
from typing import TYPE_CHECKING

from jaxnext.config.values import require
from jaxnext.engine.optimizer import SharedOptions, require_not_negative, require_positive, require_share

if TYPE_CHECKING:
    import optax


@dataclasses.dataclass(frozen=True)
class Optimizer(SharedOptions):
    """``torch.optim.SGD`` without dampening: the momentum is in the direction, the learning rate outside of it."""

    learning_rate: float = 1e-3
    """step size, which the schedule starts from"""
    weight_decay: float = 0.0
    """L2 penalty, added to the gradient"""
    momentum: float = 0.9
    """share of the last direction that is kept (PyTorch's default is 0)"""
    nesterov: bool = False
    """true: the gradient is added once more, as in Nesterov's method"""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("learning_rate", self.learning_rate)
        require_not_negative("weight_decay", self.weight_decay)
        require_share("momentum", self.momentum)
        fits = self.momentum > 0 or not self.nesterov
        require(fits, "optimizer.nesterov", "false, since optimizer.momentum is 0", self.nesterov)

    def own(self) -> tuple["optax.GradientTransformation", ...]:
        """Return the momentum behind the weight decay; without momentum there is no state."""
        import optax

        step = optax.trace(self.momentum, self.nesterov) if self.momentum else optax.identity()
        return *self.decay(self.weight_decay), step
