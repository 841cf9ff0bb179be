"""Adam as PyTorch computes it."""

import optax

from jaxnext.config import OptimizerConfig


def build(config: OptimizerConfig) -> optax.GradientTransformation:
    """``torch.optim.Adam`` without its step size, which the training step applies from the state.

    Weight decay is PyTorch's for Adam: an L2 term added to the gradient before the moments (AdamW decouples it).

    Args:
        config: the ``optimizer`` section.
    """
    adam = optax.scale_by_adam(config.beta1, config.beta2, config.eps)
    if config.weight_decay == 0:
        return adam
    return optax.chain(optax.add_decayed_weights(config.weight_decay), adam)
