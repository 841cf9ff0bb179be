"""Convolutional block attention module (Woo et al., "CBAM", 2018)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnext.models.layers import Conv, Dense, global_average_pool, uniform_fan_in
from jaxnext.models.options import check_option
from jaxnext.ops.pooling import maximum
from jaxnext.ops.relu import relu


class ChannelAttention(nn.Module):
    """One weight per channel, from a perceptron shared by the average- and the max-pooled vector."""

    reduction: int
    param_dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map ``[N, H, W, C]`` to weights in 0 to 1, ``[N, 1, 1, C]``."""
        channels = x.shape[-1]
        hidden = Dense(channels // self.reduction, use_bias=False, param_dtype=self.param_dtype, name="hidden")
        output = Dense(channels, use_bias=False, param_dtype=self.param_dtype, name="output")

        def perceptron(pooled: jax.Array) -> jax.Array:
            return output(relu(hidden(pooled)))

        highest = maximum(x.reshape(x.shape[0], -1, channels), 1)
        weights = nn.sigmoid(perceptron(global_average_pool(x)) + perceptron(highest))  # pyright: ignore[reportArgumentType]
        return weights[:, None, None, :]


class Attention(nn.Module):
    """Channel attention, then spatial attention (7x7 convolution of the channels' mean and maximum).

    The two maps are sown as intermediates ``channel_map`` and ``spatial_map``.
    """

    reduction: int = 16
    """channels are divided by this in the perceptron of the channel attention"""
    kernel_size: int = 7
    """height and width of the spatial attention's kernel, odd"""
    setting: str = "model.attention"
    """key of the setting that chose it"""
    param_dtype: jnp.dtype = jnp.dtype("float32")
    """dtype of the parameters"""

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool, mask: jax.Array | None = None, keys: jax.Array | None = None
    ) -> jax.Array:
        """Weigh ``[N, H, W, C]``; same shape and dtype. The other arguments are those of every attention."""
        del train, mask, keys
        channels, size = x.shape[-1], self.kernel_size
        fits = 1 <= self.reduction <= channels
        check_option(fits, f"{self.setting}.reduction", f"1 to {channels}, the channels", self.reduction)
        is_odd = size >= 1 and size % 2 == 1
        check_option(is_odd, f"{self.setting}.kernel_size", "an odd number of at least 1", size)
        channel_map = ChannelAttention(self.reduction, self.param_dtype, name="channel")(x)
        self.sow("intermediates", "channel_map", channel_map)
        x = x * channel_map
        pooled = jnp.stack([x.mean(-1), maximum(x, 3)], -1)
        init = uniform_fan_in(2 * size**2)
        conv = Conv(1, size, kernel_init=init, param_dtype=self.param_dtype, name="spatial_conv")
        spatial_map = nn.sigmoid(conv(pooled))
        self.sow("intermediates", "spatial_map", spatial_map)
        return x * spatial_map
