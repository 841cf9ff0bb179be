"""Convolution, dense layer and pooling with PyTorch's paddings and initialisation."""

import functools
import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnext.models.norm import BatchNorm, is_folded
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

    Returns:
        ``[N, H', W', features]``.
    """
    if is_folded(norm) and not train:
        bias = norm.get_variable("params", "bias").astype(x.dtype)
        return layer(x, functools.partial(fused_conv, bias=bias, residual=residual, relu=relu))
    y = norm(layer(x), train=train, mask=mask)
    if residual is not None:
        y = residual + y
    return rectified(y) if relu else y


def global_average_pool(x: jax.Array) -> jax.Array:
    """Map ``[N, H, W, C]`` to the mean of each channel, ``[N, C]``."""
    return x.mean((1, 2))
