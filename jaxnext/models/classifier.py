"""The whole network: backbone, attention, head."""

import dataclasses
import difflib
import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnext.errors import UsageError
from jaxnext.models import attention as attention_modules
from jaxnext.models import heads as head_modules
from jaxnext.models.resnext import ResNeXt

Choice = tuple[str, Mapping[str, Any]]
"""The name of a file in ``models/attention`` or ``models/heads``, and the options of its module."""


class Classifier(nn.Module):
    """Images to class scores.

    Attributes:
        backbone: maps ``[N, H, W, 3]`` to a feature map.
        attention: weighs the feature map, or ``None``.
        head: maps the feature map to logits.
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
            # The head's layers, which count from 1, fold their numbers into the same keys.
            own = None if keys is None else jax.vmap(jax.random.fold_in, (0, None))(keys, 0)
            x = self.attention(x, train=train, mask=mask, keys=own)
            self.sow("intermediates", "attention_output", x)
        logits = self.head(x, train=train, mask=mask, keys=keys)
        return logits.astype(jnp.promote_types(self.dtype, jnp.float32))


def build(
    backbone: Mapping[str, Any],
    attention: Choice,
    head: Choice,
    classes: int,
    precision: str,
    axis_name: str | None = None,
) -> Classifier:
    """Return the network of a backbone, an attention and a head.

    An attention is a file in ``models/attention`` with a class ``Attention``, a head one in ``models/heads`` with a
    class ``Head``. Those of their fields that are called ``classes``, ``axis_name`` and ``param_dtype`` are filled
    here, the others are options.

    Args:
        backbone: fields of ``ResNeXt``.
        attention: its name, ``none`` for no attention, and its options.
        head: its name and its options.
        classes: number of outputs.
        precision: float32; bfloat16 computes in bfloat16 and keeps float32 parameters; float64 needs
            ``jax_enable_x64``.
        axis_name: mesh axis over which training splits the batch, or ``None``.

    Raises:
        UsageError: for an attention, head or option that does not exist.
    """
    param_dtype = jnp.dtype("float64" if jnp.dtype(precision) == jnp.float64 else "float32")
    given = {"classes": classes, "axis_name": axis_name, "param_dtype": param_dtype}
    return Classifier(
        ResNeXt(**backbone, axis_name=axis_name, param_dtype=param_dtype),
        _module(attention_modules, "Attention", "model.attention", attention, given, none=True),
        _module(head_modules, "Head", "model.head", head, given),
        jnp.dtype(precision),
    )


def _module(
    package: Any, class_name: str, key: str, choice: Choice, given: Mapping[str, Any], *, none: bool = False
) -> Any:
    name, options = choice
    files = [module.name for module in pkgutil.iter_modules(package.__path__)]
    known = ["none", *files] if none else files
    if name not in known:
        nearest = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        raise UsageError(f"{key}: expected one of {', '.join(known)}, found {name!r}{hint}")
    kind = None
    if not (none and name == "none"):
        kind = getattr(importlib.import_module(f"{package.__name__}.{name}"), class_name)
    fields = [] if kind is None else [field.name for field in dataclasses.fields(kind) if field.init]
    own = [field for field in fields if field not in ("parent", "name", *given)]
    for option in options:
        if option not in own:
            raise UsageError(f"{key}.{option}: unknown option; {name} has {', '.join(own) or 'none'}")
    return kind and kind(**{field: given[field] for field in given if field in fields}, **options)
