"""Batch norm, ReLU and max-pool behind the stem as one operation with one gradient, for GPUs.

The norm multiplies a channel by one number and adds another, so that the largest of a window before it is the largest
behind it, or where the number is negative the smallest is. So the pool comes first, and norm and ReLU are of a quarter
of the values; only a fourth of these has a gradient, and its sums are over that fourth.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from jaxnext.models.norm import Statistics, affine, along, standardised
from jaxnext.models.norm_act import moments_of
from jaxnext.ops.channel_sums import sums_at_once
from jaxnext.ops.collectives import psum_always
from jaxnext.ops.pooling_at_once import first_maximum, to_places


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def norm_pool(
    x: jax.Array, scale: jax.Array, bias: jax.Array, mask: jax.Array, eps: float, axis_name: str | None
) -> tuple[jax.Array, Statistics]:
    """Compute ``max_pool(relu(batch_norm(x)))``; the arguments are those of ``norm.batch_norm``.

    Of values that are equal behind the norm, by rounding or because a scale is zero, the one that was largest before
    it has the gradient, not the first.

    Args:
        x: ``[N, H, W, C]``.
        scale: ``[C]``; as ``bias`` of the dtype in which statistics are computed.
        bias: ``[C]``.
        mask: ``[N]`` of bool, rows that count.
        eps: added to the variance.
        axis_name: mesh axis over which the statistics are summed, or ``None``.

    Returns:
        ``[N, ceil(H / 2), ceil(W / 2), C]`` in the dtype of ``x``, zero in rows that do not count, and the statistics.
    """
    return _forward(x, scale, bias, mask, eps, axis_name)[0]


def _forward(x, scale, bias, mask, eps, axis_name):
    mean, var, values = moments_of(x, mask, scale.dtype, axis_name)
    inverse = lax.rsqrt(var + eps)
    factor = inverse * scale
    upright = along(jnp.where(factor < 0, -1, 1).astype(x.dtype), x)
    best, place = first_maximum(x * upright)
    best = best * upright
    y = affine(best, mean, factor, bias)
    y = jnp.where(mask[:, None, None, None], jnp.where(y <= 0, 0, y), 0).astype(x.dtype)
    kept = x, mask, mean, inverse, factor, jnp.maximum(values, 1), best, place, y
    return (y, (mean, var, values)), kept


def _backward(eps, axis_name, residuals, gradients):
    x, mask, mean, inverse, factor, count, best, place, y = residuals
    rows, dtype = mask[:, None, None, None], mean.dtype
    dy = jnp.where(rows & (y > 0), gradients[0], 0)

    g = dy.astype(dtype)
    # Local sums are this device's part of the parameters' gradients, which the training step sums over devices.
    dbias, dscale = sums_at_once((g, jnp.where(y > 0, g * standardised(best, mean, inverse), 0)))
    totals = psum_always((dbias, dscale), axis_name)
    through = (along(totals[0], x) + standardised(x, mean, inverse) * along(totals[1], x)) / count
    spread = to_places(dy, place, (x.shape[1], x.shape[2])).astype(dtype)
    dx = jnp.where(rows, (spread - through) * along(factor, x), 0)
    return dx.astype(x.dtype), dscale, dbias, None


norm_pool.defvjp(_forward, _backward)
