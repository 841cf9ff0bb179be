"""Convolution and dense layers with PyTorch's paddings and initialisation."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnext.ops.fused_conv import conv, fused_conv


def uniform_fan_in(fan_in: int) -> nn.initializers.Initializer:
    """PyTorch's default for linear and convolution layers, weights and biases: uniform in ±1/√fan_in."""
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
    def __call__(
        self,
        x: jax.Array,
        *,
        bias: jax.Array | None = None,
        residual: jax.Array | None = None,
        relu: bool = False,
    ) -> jax.Array:
        """Convolve.

        Args:
            x: ``[N, H, W, C]``.
            bias: ``[features]``, in inference: what a batch norm has left that is folded into the kernel.
            residual: with a bias: ``[N, H', W', features]`` to be added.
            relu: with a bias: whether the sum is rectified.

        Returns:
            ``[N, H', W', features]``.
        """
        shape = (self.size, self.size, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init or self._kaiming_fan_out(), shape, self.param_dtype)
        kernel = kernel.astype(x.dtype)
        pad = (self.size - 1) // 2
        padding = ((pad, pad), (pad, pad))
        if bias is None:
            return conv(x, kernel, stride=self.stride, padding=padding, groups=self.groups)
        bias = bias.astype(x.dtype)
        return fused_conv(
            x,
            kernel,
            bias,
            stride=self.stride,
            padding=padding,
            groups=self.groups,
            residual=residual,
            relu=relu,
        )

    def _kaiming_fan_out(self) -> nn.initializers.Initializer:
        # PyTorch's fan-out counts all output channels, of every group.
        deviation = math.sqrt(2 / (self.features * self.size * self.size))
        return nn.initializers.normal(deviation)


class Dense(nn.Module):
    """``torch.nn.Linear``: its initialisation, kernel ``[in, out]``, computation in the input's dtype."""

    features: int
    use_bias: bool = True
    param_dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map ``[N, in]`` to ``[N, features]``."""
        init = uniform_fan_in(x.shape[-1])
        y = x @ self.param("kernel", init, (x.shape[-1], self.features), self.param_dtype).astype(x.dtype)
        if self.use_bias:
            y = y + self.param("bias", init, (self.features,), self.param_dtype).astype(x.dtype)
        return y
