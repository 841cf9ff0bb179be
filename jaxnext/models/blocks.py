"""Residual blocks (He et al., "Deep Residual Learning", 2016; Xie et al., 2017), as torchvision builds them."""

import functools
from typing import Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnext.models.layers import Conv, conv_norm
from jaxnext.models.norm import BatchNorm
from jaxnext.ops.gradient_apart import gradient_apart
from jaxnext.ops.relu import relu

Kind = Literal["bottleneck", "basic"]
"""The convolutions of a block: 1x1, grouped 3x3, 1x1; or 3x3, 3x3."""


class _Shape(NamedTuple):
    """The fields of a ``Conv``."""

    features: int
    size: int
    stride: int = 1
    groups: int = 1


class Block(nn.Module):
    """Convolutions, each with batch norm, and a shortcut around them.

    Attributes:
        kind: which convolutions; the stride is that of the first 3x3 one, as torchvision has it.
        width: channels of the 3x3 convolution, of ``basic`` of the first.
        features: output channels.
        groups: of the 3x3 convolution; 1 in ``basic``.
        stride: of the block and of its shortcut.
        attention: weighs what is added to the shortcut, or ``None``.
        axis_name: mesh axis over which the batch is split, or ``None``.
        param_dtype: of parameters and statistics.
        fused: whether in training norms, sum and ReLUs have one gradient each (``layers.conv_norm``).
    """

    kind: Kind
    width: int
    features: int
    groups: int = 1
    stride: int = 1
    attention: nn.Module | None = None
    axis_name: str | None = None
    param_dtype: jnp.dtype = jnp.dtype("float32")
    fused: bool = False

    @nn.compact
    def __call__(
        self, x: jax.Array, train: bool, mask: jax.Array | None = None, keys: jax.Array | None = None
    ) -> jax.Array:
        """Map ``[N, H, W, C]`` to ``[N, H / stride, W / stride, features]``.

        Args:
            x: ``[N, H, W, C]``.
            train: batch statistics instead of the running ones.
            mask: ``[N]`` of bool that marks real rows, or ``None``.
            keys: ``[N]`` random keys for the attention, or ``None``.
        """
        conv = functools.partial(Conv, param_dtype=self.param_dtype)
        norm = functools.partial(BatchNorm, axis_name=self.axis_name, param_dtype=self.param_dtype)
        layer = functools.partial(conv_norm, train=train, mask=mask, fused=self.fused)

        *before, last = self._convolutions()
        # The gradient behind a stride has zeros between its values: it is cheaper added later than within a product.
        y = gradient_apart(x) if self.fused and train and self.stride != 1 else x
        for index, shape in enumerate(before, start=1):
            y = layer(conv(*shape, name=f"conv{index}"), norm(name=f"norm{index}"), y)
        if self.stride != 1 or x.shape[-1] != self.features:
            shortcut = conv(self.features, 1, self.stride, name="shortcut_conv")
            x = layer(shortcut, norm(name="shortcut_norm"), x, relu=False)
        index = len(before) + 1
        joining = functools.partial(layer, conv(*last, name=f"conv{index}"), norm(name=f"norm{index}"), y)
        if self.attention is None:
            return joining(residual=x)
        return relu(x + self.attention(joining(relu=False), train=train, mask=mask, keys=keys))

    def _convolutions(self) -> tuple[_Shape, ...]:
        if self.kind == "basic":
            return _Shape(self.width, 3, self.stride), _Shape(self.features, 3)
        return _Shape(self.width, 1), _Shape(self.width, 3, self.stride, self.groups), _Shape(self.features, 1)
