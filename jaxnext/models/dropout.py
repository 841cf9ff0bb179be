"""Dropout that every attention and head shares."""

import jax
import jax.numpy as jnp


def dropout(x: jax.Array, probability: float, *, train: bool, keys: jax.Array | None, layer: int) -> jax.Array:
    """Zero each value with ``probability`` and scale the rest by ``1 / (1 - probability)``, as ``torch.nn.Dropout``.

    Args:
        x: ``[N, ...]``.
        probability: from 0 to below 1.
        train: nothing is dropped otherwise.
        keys: ``[N]`` random keys; a row's mask depends on its key and on ``layer`` alone, so that it does not matter
            how devices share the batch. ``None`` drops nothing.
        layer: its number in the module; each drops other values.

    Returns:
        the shape and dtype of ``x``.
    """
    if not train or keys is None or probability == 0:
        return x
    keys = jax.vmap(jax.random.fold_in, (0, None))(keys, layer)
    # float32 whatever x is, so that every precision drops the same units
    uniform = jax.vmap(lambda key: jax.random.uniform(key, x.shape[1:], jnp.float32))(keys)
    return jnp.where(uniform >= jnp.float32(probability), x / (1 - probability), 0)
