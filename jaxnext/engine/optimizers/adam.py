"""Adam as PyTorch computes it."""

from typing import Any

import jax
import numpy as np
import optax

from jaxnext.config.sections import OptimizerConfig


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


def initial(optimizer: optax.GradientTransformation, params: dict[str, Any]) -> optax.OptState:
    """What ``optimizer.init`` gives: count and moments of zero, here in host memory.

    Optax would have a program compiled for each shape of a parameter, a second or more for all of them.

    Args:
        optimizer: from ``build``.
        params: the parameters, of which only shapes and dtypes are read.
    """
    shapes = jax.eval_shape(optimizer.init, params)
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
