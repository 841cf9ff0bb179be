"""Of what precision a product asks: float32 is never computed in less, and bfloat16 has no more to ask for."""

import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike


def product_precision(dtype: DTypeLike) -> lax.Precision | None:
    """Return the ``precision`` of a product or convolution.

    A training step asks for the highest (``engine.parallel``), so that no device computes float32 in TensorFloat-32 or
    in parts of bfloat16. Products of bfloat16 are exact in float32 without asking, and XLA's Triton compiler finds no
    tiles for those that ask.

    Args:
        dtype: of the operands.

    Returns:
        the default for bfloat16, else ``None``: what the caller's context says.
    """
    return lax.Precision.DEFAULT if jnp.dtype(dtype) == jnp.bfloat16 else None
