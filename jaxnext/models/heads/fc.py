"""Fully connected head: hidden layers with batch norm, SiLU and dropout, then the class scores."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnext.models.layers import Dense
from jaxnext.models.norm import BatchNorm


class Head(nn.Module):
    """``Linear, BatchNorm1d, SiLU, Dropout`` for each hidden layer, then ``Linear``.

    Attributes:
        classes: number of outputs.
        head_widths: of the hidden layers.
        dropout: probability of zeroing a hidden unit in training.
        axis_name: mesh axis over which the batch is split, or ``None``.
        param_dtype: of parameters and statistics.
        folded: for inference: the norms' scale and statistics are in the hidden layers (``models.folding``).
    """

    classes: int
    head_widths: tuple[int, ...] = (1024, 512)
    dropout: float = 0.3
    axis_name: str | None = None
    param_dtype: jnp.dtype = jnp.dtype("float32")
    folded: bool = False

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool, mask: jax.Array | None = None, keys: jax.Array | None = None
    ) -> jax.Array:
        """Map ``[N, features]`` to logits ``[N, classes]``; what SiLU gives is sown as ``activation1``, and so on.

        Args:
            x: pooled features.
            train: batch statistics and dropout.
            mask: ``[N]`` of bool, rows that are not padding.
            keys: ``[N]`` random keys, one per example, so that the masks do not depend on how devices share the batch;
                ``None`` leaves dropout out.
        """
        for layer, width in enumerate(self.head_widths, start=1):
            x = Dense(width, param_dtype=self.param_dtype, name=f"hidden{layer}")(x)
            norm = BatchNorm(
                axis_name=self.axis_name, param_dtype=self.param_dtype, folded=self.folded, name=f"norm{layer}"
            )
            x = nn.silu(norm(x, train=train, mask=mask))
            self.sow("intermediates", f"activation{layer}", x)
            if train and keys is not None and self.dropout > 0:
                x = dropout(x, jax.vmap(jax.random.fold_in, (0, None))(keys, layer), self.dropout)
        # The logits are computed in at least float32, whatever the precision before them.
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        return Dense(self.classes, param_dtype=self.param_dtype, name="output")(x)


def dropout(x: jax.Array, keys: jax.Array, probability: float) -> jax.Array:
    """Zero each value with ``probability`` and scale the rest by ``1 / (1 - probability)``, as ``torch.nn.Dropout``.

    Args:
        x: ``[N, F]``.
        keys: ``[N]`` random keys; a row's mask depends on its key alone.
        probability: from 0 to below 1.

    Returns:
        the shape and dtype of ``x``.
    """
    # float32 whatever x is, so that every precision drops the same units
    uniform = jax.vmap(lambda key: jax.random.uniform(key, x.shape[1:], jnp.float32))(keys)
    return jnp.where(uniform >= jnp.float32(probability), x / (1 - probability), 0)
