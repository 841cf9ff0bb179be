"""Batch norm, the sum with a shortcut and the ReLU behind it as one operation with one gradient, for GPUs.

There time goes by the bytes between kernels. Written apart, the gradient of the ReLU is an array that is written before
the norm's gradient and read by it twice. Here what the ReLU let through is found anew from the norm's input, in the two
kernels that read that anyway. Of a sum with a shortcut the gradient is written, because the shortcut needs it.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from jaxnext.models.norm import Statistics, affine, along, moments, rows_of, standardised
from jaxnext.ops.channel_sums import sums_at_once
from jaxnext.ops.collectives import psum_always


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6))
def norm_act(
    x: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    mask: jax.Array,
    eps: float,
    axis_name: str | None,
    relu: bool = True,
    residual: jax.Array | None = None,
) -> tuple[jax.Array, Statistics]:
    """Compute ``relu(batch_norm(x) + residual)``; the arguments are those of ``norm.batch_norm``.

    In bfloat16 the sums are of the values themselves, not of distances from a shift: where that would matter, the
    rounding of the values is as much of their variance.

    Args:
        x: ``[N, ..., C]``.
        scale: ``[C]``; as ``bias`` of the dtype in which statistics are computed.
        bias: ``[C]``.
        mask: ``[N]`` of bool, rows that count.
        eps: added to the variance.
        axis_name: mesh axis over which the statistics are summed, or ``None``.
        relu: whether the sum is rectified.
        residual: of the shape and dtype of ``x``; ``None`` adds nothing.

    Returns:
        the dtype of ``x``, and the statistics. In rows that do not count the norm is zero.
    """
    return _forward(x, scale, bias, mask, eps, axis_name, relu, residual)[0]


def _forward(x, scale, bias, mask, eps, axis_name, relu, residual):
    mean, var, values = moments_of(x, mask, scale.dtype, axis_name)
    inverse = lax.rsqrt(var + eps)
    factor = inverse * scale
    y = jnp.where(rows_of(mask, x), affine(x, mean, factor, bias), 0)
    if residual is not None:
        y = y + residual.astype(y.dtype)
    if relu:
        y = jnp.where(y <= 0, 0, y)
    y = y.astype(x.dtype)
    if residual is not None:
        y = lax.optimization_barrier(y)  # else XLA writes it in float32, too, for whatever reads it in that
    # With a shortcut the output says what was let through: the layer behind it keeps that anyway.
    kept = y if residual is not None and relu else None
    return (y, (mean, var, values)), (
        x,
        bias,
        mask,
        mean,
        inverse,
        factor,
        jnp.maximum(values, 1),
        kept,
        residual is not None,
    )


def moments_of(x: jax.Array, mask: jax.Array, dtype: jnp.dtype, axis_name: str | None) -> Statistics:
    """Return ``norm.moments``, in bfloat16 from the sums of the values themselves."""
    if x.dtype != jnp.bfloat16:
        return moments(x, mask, dtype, axis_name)
    wide = jnp.where(rows_of(mask, x), x.astype(dtype), 0)
    sums = *sums_at_once((wide, wide * wide)), jnp.sum(mask, dtype=dtype)
    total, squares, count = psum_always(sums, axis_name)
    values = count * (x.size // (x.shape[0] * x.shape[-1]))
    mean = total / jnp.maximum(values, 1)
    return mean, jnp.maximum(squares / jnp.maximum(values, 1) - mean * mean, 0), values


def _backward(eps, axis_name, relu, residuals, gradients):
    x, bias, mask, mean, inverse, factor, count, kept, added = residuals
    dy, rows = gradients[0], rows_of(mask, x)
    if kept is not None:
        dy = jnp.where(kept > 0, dy, 0)

    def passed(values: jax.Array, mean: jax.Array, factor: jax.Array, bias: jax.Array) -> jax.Array:
        through = rows & (affine(x, mean, factor, bias) > 0) if relu and kept is None else rows
        return jnp.where(through, values, 0)

    wide = dy.astype(bias.dtype)
    normal = standardised(x, mean, inverse)
    # Each time other vectors, for XLA: what the ReLU lets through, computed of the same ones, it would write out.
    vectors = lax.optimization_barrier((mean, factor, bias))
    others = lax.optimization_barrier(vectors)
    # Local sums are this device's part of the parameters' gradients, which the training step sums over devices.
    dbias, dscale = sums_at_once((passed(wide, *vectors), passed(wide * normal, *others)))
    totals = psum_always((dbias, dscale), axis_name)
    (total_dbias, total_dscale), others = lax.optimization_barrier((totals, others))
    through = (along(total_dbias, x) + normal * along(total_dscale, x)) / count
    dx = jnp.where(rows, (passed(wide, *others) - through) * along(factor, x), 0).astype(x.dtype)
    return dx, dscale, dbias, None, dy if added else None


norm_act.defvjp(_forward, _backward)
