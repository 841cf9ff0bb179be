"""The rectifier as a comparison and a choice.

XLA's CPU backend fuses a ``maximum`` into whatever reads it, as often as it is read: the output of a residual block was
computed again from the convolutions of all blocks before it in its stage, wherever it was needed. Written like this the
operand is read twice, so that XLA computes it once.
"""

import jax
import jax.numpy as jnp


@jax.custom_jvp
def relu(x: jax.Array) -> jax.Array:
    """Rectify as ``torch.nn.functional.relu``: what is not above zero becomes zero, NaN stays.

    Args:
        x: any shape and float dtype.

    Returns:
        the shape and dtype of ``x``. The gradient is zero where ``x`` is zero or NaN.
    """
    return jnp.where(x <= 0, jnp.zeros((), x.dtype), x)


@relu.defjvp
def _jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (x,), (dx,) = primals, tangents
    return relu(x), jnp.where(x > 0, dx, jnp.zeros((), dx.dtype))
