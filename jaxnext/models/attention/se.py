"""Squeeze and excitation (Hu et al., "Squeeze-and-Excitation Networks", 2018), as timm's ``SEModule``."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnext.models.layers import Dense, global_average_pool
from jaxnext.models.options import check_option
from jaxnext.ops.relu import relu


class Attention(nn.Module):
    """One weight per channel, from a perceptron with biases of the channels' means.

    The weights are sown as the intermediate ``channel_map``. Kernels are initialised as timm's ResNet does it, Kaiming
    normal over fan-out, biases as PyTorch's.
    """

    reduction: int = 16
    """channels are divided by this in the hidden layer"""
    divisor: int = 8
    """the hidden layer's channels are the nearest multiple of this, and at least this"""
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
        channels = x.shape[-1]
        check_option(self.reduction >= 1, f"{self.setting}.reduction", "at least 1", self.reduction)
        check_option(self.divisor >= 1, f"{self.setting}.divisor", "at least 1", self.divisor)
        nearest = int(channels * (1 / self.reduction) + self.divisor / 2) // self.divisor * self.divisor
        hidden = relu(self._dense(max(self.divisor, nearest), "hidden")(global_average_pool(x)))
        weights = nn.sigmoid(self._dense(channels, "output")(hidden))[:, None, None, :]
        self.sow("intermediates", "channel_map", weights)
        return x * weights

    def _dense(self, features: int, name: str) -> Dense:
        kaiming_fan_out = nn.initializers.normal(math.sqrt(2 / features))
        return Dense(features, kernel_init=kaiming_fan_out, param_dtype=self.param_dtype, name=name)
