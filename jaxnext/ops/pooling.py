"""Max-pooling with gradients that XLA runs well and right, in the way that suits the machine.

XLA differentiates ``reduce_window`` by select-and-scatter: on two cores of a CPU 110 ms for 8x112x112x64. There the
window is taken apart into a maximum of three along the width and one along the height, each with its own gradient
(``passes``). On a TPU, where strided slices and stacked pairs are copies, it stays whole (``windows``).

JAX differentiates ``jnp.max`` by comparing the values with their maximum and dividing by how many are equal. XLA may
compute the values twice, once for the maximum and again, rounded differently, inside the fusion that compares: then
none is equal and the gradient is 0 / 0. Here the place of the maximum is kept instead.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

Formulation = Literal["passes", "windows"]
Places = tuple[jax.Array, jax.Array]


# What ``_on_platform`` goes by on a TPU: 32x112x112x64 in bfloat16, forward and backward between ReLUs, as the compiler
# of jax 0.10.2 (libtpu) has it for a v5e without the device, 2026-11-28. It gives no cycles for ``reduce_window`` and
# select-and-scatter themselves.
#
#              kernels  bytes between them  estimated cycles
#   passes          26             0.78 GB            9.62 M
#   windows          7             0.36 GB            3.19 M


def max_pool(x: jax.Array, formulation: Formulation | None = None) -> jax.Array:
    """Pool by the maximum of 3x3 with stride 2 and padding 1, as ``torch.nn.MaxPool2d(3, 2, 1)``.

    ``jax.vmap`` and second derivatives by ``jax.grad`` or ``jax.jacrev`` work, ``jax.jvp`` and ``jax.hessian`` do not.

    Args:
        x: ``[N, H, W, C]``, any float dtype. NaN propagates.
        formulation: ``None`` chooses by the platform that runs it.

    Returns:
        ``[N, ceil(H / 2), ceil(W / 2), C]``, same dtype. As in PyTorch the gradient goes to the first maximum of the
        window in row-major order: within a row the first column, then the first row, which is what two passes give.
        Of several NaN in a window the last has it, as in PyTorch, but by ``windows`` another value may.
    """
    return _max_pool(x, formulation)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _max_pool(x: jax.Array, formulation: Formulation | None) -> jax.Array:
    return _on_platform(formulation, _by_windows, lambda x: _by_passes(x)[0], x)


def _forward(
    x: jax.Array, formulation: Formulation | None
) -> tuple[jax.Array, tuple[jax.Array, tuple[jax.Array, ...]]]:
    def by_windows(x: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        # Places that nobody reads: what is kept for the gradient has one shape, whatever the platform.
        shapes = jax.eval_shape(lambda x: _by_passes(x)[1], x)
        return _by_windows(x), jax.tree.map(lambda place: jnp.zeros(place.shape, place.dtype), shapes)

    y, places = _on_platform(formulation, by_windows, _by_passes, x)
    return y, (x, places)


def _backward(
    formulation: Formulation | None, residuals: tuple[jax.Array, Places], gradient: jax.Array
) -> tuple[jax.Array]:
    x, (columns, rows) = residuals

    def by_windows(x: jax.Array, columns: jax.Array, rows: jax.Array, gradient: jax.Array) -> jax.Array:
        return jax.vjp(_by_windows, jax.lax.stop_gradient(x))[1](gradient)[0]

    def by_passes(x: jax.Array, columns: jax.Array, rows: jax.Array, gradient: jax.Array) -> jax.Array:
        return _spread(columns, x.shape[2], 2, _spread(rows, x.shape[1], 1, gradient))

    return (_on_platform(formulation, by_windows, by_passes, x, columns, rows, gradient),)


_max_pool.defvjp(_forward, _backward)


def _on_platform(
    formulation: Formulation | None, windows: Callable[..., Any], passes: Callable[..., Any], *arrays: jax.Array
) -> Any:
    if formulation is None:
        return jax.lax.platform_dependent(*arrays, tpu=windows, default=passes)
    return {"windows": windows, "passes": passes}[formulation](*arrays)


def _by_windows(x: jax.Array) -> jax.Array:
    around = ((0, 0), (1, 1), (1, 1), (0, 0))
    lowest = np.array(-np.inf, x.dtype)
    return jax.lax.reduce_window(x, lowest, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), around)


def _by_passes(x: jax.Array) -> tuple[jax.Array, Places]:
    """Return the maxima, and the places of both passes: of columns, then of rows."""
    best, columns = _first_maximum(x, 2)
    best, rows = _first_maximum(best, 1)
    return best, (columns, rows)


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


def _first_maximum(x: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    """Return the maximum of three neighbours at stride 2 along ``axis``, and which of the three held it first."""
    size = x.shape[axis]
    count = (size + 1) // 2
    widths = [(0, 0)] * x.ndim
    widths[axis] = (1, 2 * count - size)
    padded = jnp.pad(x, widths, constant_values=-jnp.inf)
    slices = (jax.lax.slice_in_dim(padded, offset, offset + 2 * count - 1, 2, axis) for offset in range(3))
    return first_of(slices)


def first_of(values: Iterable[jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Return the maximum of arrays of one shape, and which of them held it first, in uint8. NaN propagates."""
    following = iter(values)
    best = next(following)
    place = jnp.zeros(best.shape, jnp.uint8)
    for k, value in enumerate(following, start=1):
        better = (value > best) | jnp.isnan(value)
        best = jnp.where(better, value, best)
        place = jnp.where(better, jnp.uint8(k), place)
    return best, place


def _spread(place: jax.Array, size: int, axis: int, gradient: jax.Array) -> jax.Array:
    """Return the gradient of what ``_first_maximum`` was given, ``size`` values along ``axis``, by its places."""
    # Window j covers 2j - 1, 2j, 2j + 1: an even place belongs to one window, an odd one ends j and begins j + 1.
    zero = jnp.zeros((), gradient.dtype)
    begins, middle, ends = (jnp.where(place == k, gradient, zero) for k in (0, 1, 2))
    widths = [(0, 0)] * gradient.ndim
    widths[axis] = (0, 1)
    following = jax.lax.slice_in_dim(jnp.pad(begins, widths), 1, None, 1, axis)
    pairs = jnp.stack([middle, ends + following], axis + 1)
    shape = list(gradient.shape)
    shape[axis] *= 2
    return jax.lax.slice_in_dim(pairs.reshape(shape), 0, size, 1, axis)
