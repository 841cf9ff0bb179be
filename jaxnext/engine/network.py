"""The network that a config describes."""

from typing import Any

import jax.numpy as jnp

from jaxnext.config.sections import BLOCK_ATTENTIONS, ModelConfig, Precision
from jaxnext.engine.parallel import GPUS
from jaxnext.models.classifier import Classifier
from jaxnext.models.resnext import ResNeXt

_BACKBONE = ("stage_sizes", "widths", "features", "stem_features", "groups", "remat", "block")


def network(
    config: ModelConfig, classes: int, precision: Precision, axis_name: str | None = None, platform: str = "cpu"
) -> Classifier:
    """Return the network that a config describes.

    Args:
        config: the ``model`` section.
        classes: number of outputs.
        precision: float32; bfloat16 computes in bfloat16 and keeps float32 parameters; float64 needs
            ``jax_enable_x64``.
        axis_name: mesh axis over which training splits the batch, or ``None``.
        platform: of the devices that train it, as JAX names it; GPUs have formulations of their own.
    """
    shared: dict[str, Any] = {
        "axis_name": axis_name,
        "param_dtype": jnp.dtype("float64" if precision == "float64" else "float32"),
    }
    block_attention = config.block_attention.build(classes=classes, setting=BLOCK_ATTENTIONS.key, **shared)
    return Classifier(
        ResNeXt(
            **{name: getattr(config, name) for name in _BACKBONE},
            block_attention=block_attention,
            fused=platform in GPUS,
            **shared,
        ),
        config.attention.build(classes=classes, **shared),
        config.head.build(classes=classes, **shared),
        jnp.dtype(precision),
        config.mean,
        config.std,
    )
