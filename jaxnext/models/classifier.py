"""The whole network: backbone, attention, global average pool, head."""

import dataclasses
import difflib
import importlib
import pkgutil
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnext.config.sections import ModelConfig, Precision
from jaxnext.errors import UsageError
from jaxnext.models import attention as attention_modules
from jaxnext.models import heads as head_modules
from jaxnext.models.resnext import ResNeXt


class Classifier(nn.Module):
    """Images to class scores.

    Attributes:
        backbone: maps ``[N, H, W, 3]`` to a feature map.
        attention: weighs the feature map, or ``None``.
        head: maps pooled features to logits.
        dtype: of the computation between the images and the logits.
    """

    backbone: nn.Module
    attention: nn.Module | None
    head: nn.Module
    dtype: jnp.dtype = jnp.dtype("float32")

    def __call__(
        self, images: jax.Array, *, train: bool, mask: jax.Array | None = None, keys: jax.Array | None = None
    ) -> jax.Array:
        """Classify.

        Args:
            images: normalised, ``[N, H, W, 3]``.
            train: batch statistics (updated in ``batch_stats``, which must be mutable) and dropout.
            mask: ``[N]`` of bool; rows that are ``False`` are padding and stay out of batch statistics.
            keys: ``[N]`` random keys for dropout, one per example.

        Returns:
            logits ``[N, classes]``, at least float32.
        """
        x = self.backbone(images.astype(self.dtype), train=train, mask=mask)
        if self.attention is not None:
            x = self.attention(x)
            self.sow("intermediates", "attention_output", x)
        logits = self.head(x.mean((1, 2)), train=train, mask=mask, keys=keys)
        return logits.astype(jnp.promote_types(self.dtype, jnp.float32))


def build(
    config: ModelConfig, classes: int, precision: Precision, axis_name: str | None = None, *, folded: bool = False
) -> Classifier:
    """The network that a config describes.

    An attention module is a file in ``models/attention`` with a class ``Attention``, a head one in ``models/heads``
    with a class ``Head``. Each is given the config's fields that carry the names of its own, and its ``*_options``.

    Args:
        config: the ``model`` section.
        classes: number of outputs.
        precision: bfloat16 computes in bfloat16 and keeps float32 parameters; float64 needs ``jax_enable_x64``.
        axis_name: mesh axis over which training splits the batch, or ``None``.
        folded: the network for inference that takes the variables of ``folding.fold``. A part without a field
            ``folded`` keeps its batch norms.

    Raises:
        UsageError: for an attention module, head or option that does not exist.
    """
    param_dtype = jnp.dtype("float64" if jnp.dtype(precision) == jnp.float64 else "float32")
    shared = {"classes": classes, "axis_name": axis_name, "param_dtype": param_dtype, "folded": folded}
    backbone = ResNeXt(**_own_fields(ResNeXt, config, shared))
    attention = None
    if config.attention != "none":
        kind = _lookup(attention_modules, "Attention", config.attention, "model.attention", ["none"])
        attention = kind(**_own_fields(kind, config, shared, config.attention_options, "model.attention_options"))
    elif config.attention_options:
        raise UsageError(
            "model.attention_options: expected none because model.attention is none, found "
            + ", ".join(config.attention_options)
        )
    kind = _lookup(head_modules, "Head", config.head, "model.head", [])
    head = kind(**_own_fields(kind, config, shared, config.head_options, "model.head_options"))
    return Classifier(backbone, attention, head, jnp.dtype(precision))


def _lookup(package: Any, class_name: str, name: str, key: str, also: list[str]) -> Any:
    known = also + [module.name for module in pkgutil.iter_modules(package.__path__)]
    if name not in known:
        nearest = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        raise UsageError(f"{key}: expected one of {', '.join(known)}, found {name!r}{hint}")
    return getattr(importlib.import_module(f"{package.__name__}.{name}"), class_name)


def _own_fields(
    kind: Any, config: ModelConfig, shared: dict[str, Any], options: dict[str, Any] | None = None, key: str = ""
) -> dict[str, Any]:
    own = [field.name for field in dataclasses.fields(kind) if field.init and field.name not in ("parent", "name")]
    values = {name: getattr(config, name) for name in own if hasattr(config, name)}
    values |= {name: value for name, value in shared.items() if name in own}
    free = [name for name in own if name not in values]
    for name, value in (options or {}).items():
        if name not in free:
            raise UsageError(f"{key}: unknown option {name!r}; {kind.__module__} has {', '.join(free) or 'none'}")
        values[name] = value
    return values
