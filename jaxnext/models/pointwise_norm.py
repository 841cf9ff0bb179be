"""1x1 convolution, batch norm, the sum with a shortcut and the ReLU, without the convolution's output, for GPUs.

The output ``y = x W`` of a 1x1 convolution is linear in its input, so that its statistics follow from sums over the
input alone: with the count ``n``, ``s`` the sum of the rows of ``x`` and ``G = x' x``, channel ``c`` has the sum
``s W`` and the sum of squares ``w' G w`` of its column ``w``. The norm is then a factor of each column and a bias, and
all of it one product whose epilogue adds and rectifies: ``y`` is never written. With ``g`` the gradient behind the
norm, ``S = x' g`` and ``dy = a g - c (y - mean) - a sum(g) / n`` the gradients are products as well,
``dW = x' dy = S a - (G - s mean(x)') W c - s (a sum(g) / n)'`` and ``dx = g (W a)' - (x - mean(x)) W c W' - ...``,
and neither ``y`` nor ``dy`` is read or written. Where a convolution doubles its channels or more, as the last one of a
bottleneck does, this is less than half of the bytes. Sums are float32, of bfloat16 values that were never rounded as
``y`` would be.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from jaxnext.models.norm import Statistics
from jaxnext.ops.collectives import psum_always

ROWS_PER_CHANNEL = 8
"""Values of a channel, over the input's channels, from which on it pays: below, ``G`` and its like are too large."""


def pays(values: int, channels: int, features: int, dtype: DTypeLike) -> bool:
    """Return whether it has fewer bytes than the parts would.

    Args:
        values: of a channel, in all rows.
        channels: of the input.
        features: of the output.
        dtype: of both. In float32 a difference of sums would lose digits that count there.
    """
    return jnp.dtype(dtype) == jnp.bfloat16 and features > channels and values >= ROWS_PER_CHANNEL * channels


@functools.partial(jax.custom_vjp, nondiff_argnums=(5, 6, 7))
def pointwise_norm(
    x: jax.Array,
    kernel: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    mask: jax.Array,
    eps: float,
    axis_name: str | None,
    relu: bool = True,
    residual: jax.Array | None = None,
) -> tuple[jax.Array, Statistics]:
    """Compute ``relu(batch_norm(x @ kernel) + residual)``.

    Args:
        x: ``[N, H, W, C]``; rows that do not count are zero.
        kernel: ``[C, F]``, same dtype.
        scale: ``[F]``, at least float32, as ``bias``.
        bias: ``[F]``.
        mask: ``[N]`` of bool, rows that count.
        eps: added to the variance.
        axis_name: mesh axis over which the statistics are summed, or ``None``.
        relu: whether the sum is rectified.
        residual: ``[N, H, W, F]``, same dtype; ``None`` adds nothing.

    Returns:
        ``[N, H, W, F]``, same dtype, and mean, biased variance and number of values of each channel. Rows that do not
        count hold what a row of zeros gives, and must get no gradient.
    """
    return _forward(x, kernel, scale, bias, mask, eps, axis_name, relu, residual)[0]


def _forward(x, kernel, scale, bias, mask, eps, axis_name, relu, residual):
    wide, dtype = scale.dtype, x.dtype
    rows, weights = x.reshape(-1, x.shape[-1]), kernel.astype(wide)
    local = jnp.sum(rows, 0, wide)
    gram_w = _small(_long(rows, rows, wide), weights)
    sums = local, _small(local, weights), jnp.sum(weights * gram_w, 0), jnp.sum(mask, dtype=wide)
    inputs, total, squares, count = psum_always(sums, axis_name)
    values = count * (x.size // (x.shape[0] * x.shape[-1]))
    n = jnp.maximum(values, 1)
    mean = total / n
    var = jnp.maximum(squares / n - mean * mean, 0)
    inverse = lax.rsqrt(var + eps)
    a = scale * inverse
    y = _product(rows, weights * a[None, :]) + (bias - mean * a).astype(dtype)[None, :]
    if residual is not None:
        y = y + residual.reshape(y.shape)
    if relu:
        # Else XLA compares the product itself with zero in the backward pass, and that then needs it, too.
        y = lax.optimization_barrier(jnp.maximum(y, 0))
    y = y.reshape(*x.shape[:-1], -1)
    kept = rows, kernel, scale, mean, inverse, n, local, gram_w, inputs / n, y if relu else None
    return (y, (mean, var, values)), (x.shape, residual is not None, *kept)


def _backward(eps, axis_name, relu, residuals, gradients):
    shape, added, rows, kernel, scale, mean, inverse, n, local, gram_w, inputs, y = residuals
    dy = gradients[0]
    if y is not None:
        dy = jnp.where(y > 0, dy, 0)
    g = dy.reshape(rows.shape[0], -1)
    wide, dtype = scale.dtype, rows.dtype
    weights, a = kernel.astype(wide), scale * inverse
    dbias = jnp.sum(g, 0, wide)
    product = _long(rows, g, wide)
    # Local sums are this device's part of the parameters' gradients, which the training step sums over devices.
    dscale = inverse * (jnp.sum(weights * product, 0) - mean * dbias)
    total_dbias, total_dscale = psum_always((dbias, dscale), axis_name)
    c, shift = a * inverse * total_dscale / n, a * total_dbias / n
    dkernel = product * a[None, :] - gram_w * c[None, :] + local[:, None] * (mean * c - shift)[None, :]
    through = _small(weights * c[None, :], weights.T).astype(dtype).astype(wide)
    # With the rounded matrix, so that its rounding is that of a distance from the mean.
    constant = _small(inputs, through) - _small(weights, shift)
    # Another array for XLA, which would merge the products of two convolutions that have the same input.
    rows, through = lax.optimization_barrier((rows, through))
    dx = _product(g, (weights * a[None, :]).T) + (_product(rows, -through) + constant.astype(dtype)[None, :])
    return dx.reshape(shape), dkernel.astype(kernel.dtype), dscale, dbias, None, dy if added else None


pointwise_norm.defvjp(_forward, _backward)


def _product(x: jax.Array, y: jax.Array) -> jax.Array:
    """Return ``x y`` in the dtype of ``x``, to which ``y`` is rounded before."""
    return jnp.matmul(x, y.astype(x.dtype), precision=lax.Precision.DEFAULT)


def _long(x: jax.Array, y: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """Return ``x' y`` over all rows, the sums in ``dtype``."""
    return lax.dot_general(x, y, (((0,), (0,)), ((), ())), lax.Precision.DEFAULT, dtype)


def _small(x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.matmul(x, y, precision=lax.Precision.HIGHEST)
