"""The head of torchvision's classifiers: one linear layer."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnext.models.layers import Dense, global_average_pool


class Head(nn.Module):
    """Global average pool, then one linear layer to the class scores."""

    classes: int
    """number of outputs"""
    param_dtype: jnp.dtype = jnp.dtype("float32")
    """dtype of the parameters"""

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool, mask: jax.Array | None = None, keys: jax.Array | None = None
    ) -> jax.Array:
        """Map ``[N, H, W, C]`` to logits ``[N, classes]``; the other arguments are those of every head."""
        del train, mask, keys
        x = global_average_pool(x)
        # The logits are computed in at least float32, whatever the precision before them.
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        return Dense(self.classes, param_dtype=self.param_dtype, name="output")(x)
