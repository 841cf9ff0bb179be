"""Fully connected head: hidden layers with batch norm, SiLU and dropout, then the class scores.

Other people's heads have other activations, or no batch norm; they are PyTorch's with its defaults.
"""

from collections.abc import Callable
from typing import Final, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnext.models.dropout import dropout
from jaxnext.models.layers import Dense, global_average_pool
from jaxnext.models.norm import BatchNorm
from jaxnext.models.options import check_option

ACTIVATIONS: Final[dict[str, Callable[[jax.Array], jax.Array]]] = {
    "silu": nn.silu,
    "relu": nn.relu,
    "gelu": lambda x: nn.gelu(x, approximate=False),
    "leaky_relu": nn.leaky_relu,
    "elu": nn.elu,
    "tanh": nn.tanh,
    "identity": lambda x: x,
}
"""Activations by the values of ``activation``."""


class Head(nn.Module):
    """Global average pool, ``Linear, BatchNorm1d, SiLU, Dropout`` for each hidden layer, then ``Linear``."""

    classes: int
    """number of outputs"""
    widths: tuple[int, ...] = (1024, 512)
    """widths of the hidden layers"""
    dropout: float = 0.3
    """probability of zeroing a hidden unit in training"""
    activation: Literal["silu", "relu", "gelu", "leaky_relu", "elu", "tanh", "identity"] = "silu"
    """what follows each hidden layer; identity: nothing"""
    batch_norm: bool = True
    """whether a batch norm stands between a hidden layer and its activation"""
    axis_name: str | None = None
    """mesh axis over which the batch is split"""
    param_dtype: jnp.dtype = jnp.dtype("float32")
    """dtype of parameters and statistics"""

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool, mask: jax.Array | None = None, keys: jax.Array | None = None
    ) -> jax.Array:
        """Map ``[N, H, W, C]`` to logits ``[N, classes]``; activations are sown as ``activation1``, and so on.

        Args:
            x: the feature map.
            train: batch statistics and dropout.
            mask: ``[N]`` of bool, rows that are not padding.
            keys: ``[N]`` random keys, one per example; ``None`` leaves dropout out.
        """
        widths, probability = list(self.widths), self.dropout
        check_option(all(w >= 1 for w in widths), "model.head.widths", "widths of at least 1", widths)
        check_option(0 <= probability < 1, "model.head.dropout", "a probability from 0 to below 1", probability)
        x = global_average_pool(x)
        for layer, width in enumerate(widths, start=1):
            x = Dense(width, param_dtype=self.param_dtype, name=f"hidden{layer}")(x)
            if self.batch_norm:
                norm = BatchNorm(axis_name=self.axis_name, param_dtype=self.param_dtype, name=f"norm{layer}")
                x = norm(x, train=train, mask=mask)
            x = ACTIVATIONS[self.activation](x)
            self.sow("intermediates", f"activation{layer}", x)
            x = dropout(x, probability, train=train, keys=keys, layer=layer)
        # The logits are computed in at least float32, whatever the precision before them.
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        return Dense(self.classes, param_dtype=self.param_dtype, name="output")(x)
