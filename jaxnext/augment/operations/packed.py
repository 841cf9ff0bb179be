"""Images with the three bytes of a pixel in one word, so that a gather moves a pixel at a time."""

import jax
import jax.numpy as jnp


def pack(image: jax.Array) -> jax.Array:
    """Pack uint8 ``[..., H, W, 3]`` to uint32 ``[..., H, W]``, red lowest."""
    wide = image.astype(jnp.uint32)
    return wide[..., 0] | (wide[..., 1] << 8) | (wide[..., 2] << 16)


def unpack(packed: jax.Array) -> jax.Array:
    """Return the uint8 ``[..., H, W, 3]`` that ``pack`` was given."""
    shifts = jnp.asarray([0, 8, 16], jnp.uint32).reshape((1,) * packed.ndim + (3,))
    return ((packed[..., None] >> shifts) & 255).astype(jnp.uint8)


def channels(packed: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return red, green and blue as int32."""
    signed = packed.astype(jnp.int32)
    return signed & 255, (signed >> 8) & 255, signed >> 16


def join(red: jax.Array, green: jax.Array, blue: jax.Array) -> jax.Array:
    """Pack three int32 arrays of 0 to 255."""
    return (red | (green << 8) | (blue << 16)).astype(jnp.uint32)
