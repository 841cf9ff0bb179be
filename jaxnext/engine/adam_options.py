"""What Adam and AdamW have in common: the running means, their options, and what is refused."""

import dataclasses
from typing import TYPE_CHECKING

from jaxnext.engine.optimizer import SharedOptions, require_not_negative, require_positive, require_share

if TYPE_CHECKING:
    import optax


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdamOptions(SharedOptions):
    """Options of Adam (Kingma and Ba, https://arxiv.org/abs/1412.6980) in either form.

    Where the weight decay stands, and what it and the learning rate are by default, is the file's that extends this.
    """

    learning_rate: float = 1e-3
    """step size, which the schedule starts from"""
    weight_decay: float = 0.0
    """share of the parameters that is added to the gradient or to the step"""
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

    def adam(self) -> "optax.GradientTransformation":
        """Return Adam's directions, of size 1 where gradients are steady, without weight decay."""
        import optax

        return optax.scale_by_adam(self.beta1, self.beta2, self.eps)
