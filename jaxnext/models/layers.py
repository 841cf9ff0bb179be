"""Convolution, dense layer and pooling with PyTorch's paddings and initialisation."""

import functools
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnext.models.norm import BatchNorm, Statistics, is_folded
from jaxnext.models.norm_act import norm_act
from jaxnext.models.pointwise_norm import pays, pointwise_norm
from jaxnext.ops.fused_conv import conv, fused_conv
from jaxnext.ops.product_precision import product_precision
from jaxnext.ops.relu import relu as rectified


def uniform_fan_in(fan_in: int) -> nn.initializers.Initializer:
    """Return PyTorch's default for linear and convolution layers, weights and biases: uniform in ±1/√fan_in."""
    bound = 1 / math.sqrt(fan_in)

    def initialise(key, shape, dtype=jnp.float32, out_sharding=None):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return initialise


class Conv(nn.Module):
    """Square bias-free convolution, NHWC, padded by ``(size - 1) // 2`` on every side as torchvision's are.

    Attributes:
        features: output channels.
        size: kernel height and width.
        stride: of both axes.
        groups: divides input and output channels.
        kernel_init: torchvision's Kaiming normal over fan-out unless given.
        param_dtype: of the kernel, ``[size, size, C // groups, features]``; computation is in the input's dtype.
    """

    features: int
    size: int
    stride: int = 1
    groups: int = 1
    kernel_init: nn.initializers.Initializer | None = None
    param_dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, x: jax.Array, convolve: Callable[..., jax.Array] = conv) -> jax.Array:
        """Map ``[N, H, W, C]`` to ``[N, H', W', features]``.

        Args:
            x: ``[N, H, W, C]``.
            convolve: computes it; has the arguments of ``ops.fused_conv.conv``.
        """
        shape = (self.size, self.size, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init or self._kaiming_fan_out(), shape, self.param_dtype)
        pad = (self.size - 1) // 2
        padding = ((pad, pad), (pad, pad))
        return convolve(x, kernel.astype(x.dtype), stride=self.stride, padding=padding, groups=self.groups)

    def _kaiming_fan_out(self) -> nn.initializers.Initializer:
        # PyTorch's fan-out counts all output channels, of every group.
        deviation = math.sqrt(2 / (self.features * self.size * self.size))
        return nn.initializers.normal(deviation)


class Dense(nn.Module):
    """``torch.nn.Linear``: its initialisation, kernel ``[in, out]``, computation in the input's dtype.

    Attributes:
        features: outputs.
        use_bias: whether it has one.
        param_dtype: of kernel and bias.
        kernel_init: PyTorch's unless given.
    """

    features: int
    use_bias: bool = True
    param_dtype: jnp.dtype = jnp.dtype("float32")
    kernel_init: nn.initializers.Initializer | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map ``[N, in]`` to ``[N, features]``."""
        init = uniform_fan_in(x.shape[-1])
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init or init, shape, self.param_dtype).astype(x.dtype)
        y = jnp.matmul(x, kernel, precision=product_precision(x.dtype))
        if self.use_bias:
            y = y + self.param("bias", init, (self.features,), self.param_dtype).astype(x.dtype)[None, :]
        return y


def conv_norm(
    layer: Conv,
    norm: BatchNorm,
    x: jax.Array,
    *,
    train: bool,
    mask: jax.Array | None,
    residual: jax.Array | None = None,
    relu: bool = True,
    fused: bool = False,
) -> jax.Array:
    """Apply a convolution and its batch norm, then the sum with ``residual`` and the ReLU.

    It is one pass over memory where the norm is folded into the convolution (``models.folding``).

    Args:
        layer: of the module that is being called.
        norm: behind it, of the same module.
        x: ``[N, H, W, C]``.
        train: batch statistics instead of the running ones.
        mask: ``[N]`` of bool that marks real rows, or ``None``.
        residual: ``[N, H', W', features]``; ``None`` adds nothing.
        relu: whether the sum is rectified.
        fused: whether in training norm, sum and ReLU have one gradient (``models.norm_act``, or with the convolution
            ``models.pointwise_norm``), which pays on GPUs.

    Returns:
        ``[N, H', W', features]``.
    """
    if is_folded(norm) and not train:
        bias = norm.get_variable("params", "bias").astype(x.dtype)
        return layer(x, functools.partial(fused_conv, bias=bias, residual=residual, relu=relu))
    if fused and train and not norm.is_initializing():
        return _fused(layer, norm, x, mask, residual, relu)
    y = norm(layer(x), train=train, mask=mask)
    if residual is not None:
        y = residual + y
    return rectified(y) if relu else y


def _fused(
    layer: Conv, norm: BatchNorm, x: jax.Array, mask: jax.Array | None, residual: jax.Array | None, relu: bool
) -> jax.Array:
    values = x.shape[0] * math.prod(-(-size // layer.stride) for size in x.shape[1:3])
    is_pointwise = layer.size == 1 and layer.groups == 1
    if is_pointwise and pays(values, x.shape[-1], layer.features, x.dtype):
        parts: list[jax.Array] = []

        def left_undone(x: jax.Array, kernel: jax.Array, *, stride: int, **_: Any) -> jax.Array:
            parts.extend((x[:, ::stride, ::stride], kernel[0, 0]))
            return x

        layer(x, left_undone)
        x, kernel = parts
        if mask is not None and (residual is None or layer.stride > 1):
            # What is behind a shortcut may be no norm, whose padded rows alone are zero.
            x = jnp.where(mask[:, None, None, None], x, 0)
        if layer.stride > 1:
            x = jax.lax.optimization_barrier(x)

        def compute(x: jax.Array, *others: Any) -> tuple[jax.Array, Statistics]:
            return pointwise_norm(x, kernel, *others, relu, residual)

        return norm(x, train=True, mask=mask, features=layer.features, compute=compute)

    def compute_behind(*others: Any) -> tuple[jax.Array, Statistics]:
        return norm_act(*others, relu, residual)

    return norm(layer(x), train=True, mask=mask, compute=compute_behind)


def global_average_pool(x: jax.Array) -> jax.Array:
    """Map ``[N, H, W, C]`` to the mean of each channel, ``[N, C]``."""
    return x.mean((1, 2))
