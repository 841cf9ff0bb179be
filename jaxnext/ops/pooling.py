"""Max-pooling with gradients that XLA's CPU backend runs well and right.

XLA differentiates ``reduce_window`` by select-and-scatter: 110 ms for 8x112x112x64 on two cores. Here the window
is taken apart into a maximum of three along the width and one along the height, each with its own gradient.

JAX differentiates ``jnp.max`` by comparing the values with their maximum and dividing by how many are equal. XLA may
compute the values twice, once for the maximum and again, rounded differently, inside the fusion that compares: then
none is equal and the gradient is 0 / 0. Here the place of the maximum is kept instead.
"""

import functools

import jax
import jax.numpy as jnp


def max_pool(x: jax.Array) -> jax.Array:
    """Pool by the maximum of 3x3 with stride 2 and padding 1, as ``torch.nn.MaxPool2d(3, 2, 1)``.

    ``jax.vmap`` and second derivatives by ``jax.grad`` or ``jax.jacrev`` work, ``jax.jvp`` and ``jax.hessian`` do not.

    Args:
        x: ``[N, H, W, C]``, any float dtype. NaN propagates.

    Returns:
        ``[N, ceil(H / 2), ceil(W / 2), C]``, same dtype. As in PyTorch the gradient goes to the first maximum of the
        window in row-major order: within a row the first column, then the first row, which is what two passes give.
    """
    return _max3(_max3(x, 2), 1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def maximum(x: jax.Array, axis: int) -> jax.Array:
    """Return the largest value along ``axis``, as ``torch.max(x, axis)``. NaN propagates.

    Args:
        x: any shape and float dtype.
        axis: counted from 0; it disappears.

    Returns:
        the dtype of ``x``. As in PyTorch the gradient goes to the first maximum.
    """
    return x.max(axis)


def _maximum_forward(x: jax.Array, axis: int) -> tuple[jax.Array, tuple[jax.Array, int]]:
    return x.max(axis), (jnp.argmax(x, axis), x.shape[axis])


def _maximum_backward(axis: int, residuals: tuple[jax.Array, int], gradient: jax.Array) -> tuple[jax.Array]:
    place, size = jnp.expand_dims(residuals[0], axis), residuals[1]
    shape = (*gradient.shape[:axis], size, *gradient.shape[axis:])
    here = jax.lax.broadcasted_iota(place.dtype, shape, axis) == place
    return (jnp.where(here, jnp.expand_dims(gradient, axis), 0),)


maximum.defvjp(_maximum_forward, _maximum_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _max3(x: jax.Array, axis: int) -> jax.Array:
    """Return the maximum of three neighbours at stride 2 along ``axis``."""
    return _first_maximum(x, axis)[0]


def _first_maximum(x: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    """Return the maximum of each window, and which of its three places (0, 1, 2) held it first."""
    size = x.shape[axis]
    count = (size + 1) // 2
    widths = [(0, 0)] * x.ndim
    widths[axis] = (1, 2 * count - size)
    padded = jnp.pad(x, widths, constant_values=-jnp.inf)
    best = _places(padded, axis, 0, count)
    place = jnp.zeros(best.shape, jnp.uint8)
    for k in (1, 2):
        value = _places(padded, axis, k, count)
        better = (value > best) | jnp.isnan(value)
        best = jnp.where(better, value, best)
        place = jnp.where(better, jnp.uint8(k), place)
    return best, place


def _places(padded: jax.Array, axis: int, offset: int, count: int) -> jax.Array:
    return jax.lax.slice_in_dim(padded, offset, offset + 2 * count - 1, 2, axis)


def _max3_forward(x: jax.Array, axis: int) -> tuple[jax.Array, tuple[jax.Array, int]]:
    best, place = _first_maximum(x, axis)
    return best, (place, x.shape[axis])


def _max3_backward(axis: int, residuals: tuple[jax.Array, int], gradient: jax.Array) -> tuple[jax.Array]:
    # Window j covers 2j - 1, 2j, 2j + 1: an even place belongs to one window, an odd one ends j and begins j + 1.
    place, size = residuals
    zero = jnp.zeros((), gradient.dtype)
    begins, middle, ends = (jnp.where(place == k, gradient, zero) for k in (0, 1, 2))
    widths = [(0, 0)] * gradient.ndim
    widths[axis] = (0, 1)
    following = jax.lax.slice_in_dim(jnp.pad(begins, widths), 1, None, 1, axis)
    pairs = jnp.stack([middle, ends + following], axis + 1)
    shape = list(gradient.shape)
    shape[axis] *= 2
    return (jax.lax.slice_in_dim(pairs.reshape(shape), 0, size, 1, axis),)


_max3.defvjp(_max3_forward, _max3_backward)
