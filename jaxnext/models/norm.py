"""Batch normalisation with PyTorch's conventions, over the global batch, with padded rows left out."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxnext.ops.channel_sums import channel_sums
from jaxnext.ops.collectives import psum, psum_always

Statistics = tuple[jax.Array, jax.Array, jax.Array]

BATCH_MOMENTS = "batch_moments"
"""Collection in which each norm in training sows ``moments``: mean and unbiased variance of the batch, and the number
of values per channel."""


class BatchNorm(nn.Module):
    """``torch.nn.BatchNorm1d`` and ``BatchNorm2d`` over the last axis.

    In training it normalises with the biased variance of the batch and moves the running mean and the *unbiased*
    running variance by ``momentum`` towards it (Flax's momentum is one minus PyTorch's, and Flax stores the biased
    variance). A batch with one value per channel leaves the running variance as it was. Statistics are computed in at
    least float32. ``num_batches_tracked`` counts training batches, as PyTorch's does.

    Where its variables hold a bias alone, scale and statistics are in the layer before (``models.folding``).

    Attributes:
        eps: added to the variance.
        momentum: PyTorch's; weight of the new batch in the running statistics.
        axis_name: mesh axis over which the batch is split, or ``None``.
        param_dtype: of scale, bias and running statistics.
    """

    eps: float = 1e-5
    momentum: float = 0.1
    axis_name: str | None = None
    param_dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        *,
        train: bool,
        mask: jax.Array | None = None,
        features: int | None = None,
        compute: Callable[..., Any] | None = None,
    ) -> jax.Array:
        """Normalise.

        Args:
            x: ``[N, ..., C]``.
            train: batch statistics (and their update) instead of the running ones.
            mask: ``[N]`` of bool; rows that are ``False`` are padding and stay out of the statistics.
            features: channels, where ``compute`` is given something else than what is normalised.
            compute: in training instead of ``batch_norm``, whose arguments it has, and what is before and behind the
                norm with it.

        Returns:
            the shape and dtype of ``x``.

        Raises:
            ValueError: training with a norm that is folded.
        """
        features = features or x.shape[-1]
        if is_folded(self):
            if train:
                raise ValueError("train: expected False with variables whose batch norms are folded, found True")
            bias = self.param("bias", nn.initializers.zeros, (features,), self.param_dtype)
            return x + along(bias.astype(x.dtype), x)
        scale = self.param("scale", nn.initializers.ones, (features,), self.param_dtype)
        bias = self.param("bias", nn.initializers.zeros, (features,), self.param_dtype)
        mean = self.variable("batch_stats", "mean", jnp.zeros, (features,), self.param_dtype)
        var = self.variable("batch_stats", "var", jnp.ones, (features,), self.param_dtype)
        tracked = self.variable("batch_stats", "num_batches_tracked", jnp.zeros, (), jnp.int32)
        if not train:
            return _normalise(x, mean.value, lax.rsqrt(var.value + self.eps), scale, bias)
        rows = jnp.ones(x.shape[:1], bool) if mask is None else mask
        normalised = (compute or batch_norm)(x, scale, bias, rows, self.eps, self.axis_name)
        y, (batch_mean, batch_var, count) = normalised  # pyright: ignore[reportGeneralTypeIssues]
        if not self.is_initializing():
            unbiased = batch_var * count / jnp.maximum(count - 1, 1)
            # Costs nothing unless the collection is mutable, as it is where statistics are computed anew.
            self.sow(BATCH_MOMENTS, "moments", (batch_mean, unbiased, count))
            mean.value = jnp.where(count > 0, (1 - self.momentum) * mean.value + self.momentum * batch_mean, mean.value)
            var.value = jnp.where(count > 1, (1 - self.momentum) * var.value + self.momentum * unbiased, var.value)
            tracked.value = tracked.value + 1
        return y


def is_folded(norm: BatchNorm) -> bool:
    """Return whether the variables of a norm that is being called hold a bias alone."""
    there = norm.has_variable("params", "scale") or norm.has_variable("batch_stats", "mean")
    return not there and not norm.is_initializing()


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def batch_norm(
    x: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    mask: jax.Array,
    eps: float,
    axis_name: str | None,
) -> tuple[jax.Array, Statistics]:
    """Normalise ``x`` with its own statistics, with a gradient written by hand.

    Sums of ``x - shift`` and of its square give mean and variance in one read. The shift, the mean of a few of the
    values, keeps the subtraction of two large numbers away where the mean is large against the deviation. Of vectors
    ``[N, C]`` it is the mean of all: a second read costs nothing, and the squares are then those of the distances from
    the mean, as in PyTorch.

    The gradient is that of Ioffe and Szegedy, "Batch Normalization", 2015, section 3; the statistics have none.

    Args:
        x: ``[N, ..., C]``.
        scale: ``[C]``; as ``bias`` of the dtype in which statistics are computed.
        bias: ``[C]``.
        mask: ``[N]`` of bool, rows that count.
        eps: added to the variance.
        axis_name: mesh axis over which the statistics are summed, or ``None``.

    Returns:
        the normalised ``x`` in its dtype, zero in rows that do not count, and the batch's mean, biased variance and
        number of values per channel.
    """
    return _forward(x, scale, bias, mask, eps, axis_name)[0]


def _forward(x, scale, bias, mask, eps, axis_name):
    mean, var, values = moments(x, mask, scale.dtype, axis_name)
    inverse = lax.rsqrt(var + eps)
    # A padded row may lie far from the others: what overflowed in it would reach all gradients as 0 * infinity.
    rows = rows_of(mask, x)
    y = jnp.where(rows, _normalise(x, mean, inverse, scale, bias), 0)
    return (y, (mean, var, values)), (x, scale, mask, mean, inverse, jnp.maximum(values, 1))


def moments(x: jax.Array, mask: jax.Array, dtype: jnp.dtype, axis_name: str | None) -> Statistics:
    """Return mean and biased variance of the rows that count, and the number of values per channel."""
    rows = rows_of(mask, x)
    # Of an image 16 values or fewer, on a grid: a few that lie far from all others hardly move their mean.
    some = x[(slice(None), *(slice(size // 8, None, -(-size // 4)) for size in x.shape[1:-1]))]
    total = jnp.where(rows, some, 0).sum(range(x.ndim - 1), dtype)
    total, count = psum((total, jnp.sum(mask, dtype=dtype)), axis_name)
    shift = total / jnp.maximum(count * (some.size // (x.shape[0] * x.shape[-1])), 1)

    def terms(x: jax.Array, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
        distance = jnp.where(rows, x.astype(dtype) - along(shift, x), 0)
        return distance, distance * distance

    sums = channel_sums(terms, x, rows) if x.ndim > 2 else tuple(term.sum(0) for term in terms(x, rows))
    total, squares = psum_always(sums, axis_name)
    values = count * (x.size // (x.shape[0] * x.shape[-1]))
    offset = total / jnp.maximum(values, 1)
    return shift + offset, jnp.maximum(squares / jnp.maximum(values, 1) - offset * offset, 0), values


def _backward(eps, axis_name, residuals, gradients):
    x, scale, mask, mean, inverse, count = residuals
    dy = gradients[0]

    rows = rows_of(mask, x)

    def normal(x: jax.Array) -> jax.Array:
        return standardised(x, mean, inverse)

    def terms(dy: jax.Array, x: jax.Array, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
        wide = jnp.where(rows, dy.astype(scale.dtype), 0)
        return wide, jnp.where(rows, wide * normal(x), 0)

    # Local sums are this device's part of the parameters' gradients, which the training step sums over devices.
    dbias, dscale = channel_sums(terms, dy, x, rows)
    total_dbias, total_dscale = psum_always((dbias, dscale), axis_name)
    through = (along(total_dbias, x) + normal(x) * along(total_dscale, x)) / count
    dx = jnp.where(rows, (dy.astype(scale.dtype) - through) * along(scale * inverse, x), 0)
    return dx.astype(x.dtype), dscale, dbias, None


batch_norm.defvjp(_forward, _backward)


def _normalise(x: jax.Array, mean: jax.Array, inverse: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    # Written out, in this order: CPUs then run the program that they always ran, to the letter.
    return ((x.astype(mean.dtype) - along(mean, x)) * along(inverse * scale, x) + along(bias, x)).astype(x.dtype)


def affine(x: jax.Array, mean: jax.Array, factor: jax.Array, bias: jax.Array) -> jax.Array:
    """Return ``(x - mean) factor + bias`` in the dtype of the vectors, ``[C]`` each."""
    return standardised(x, mean, factor) + along(bias, x)


def standardised(x: jax.Array, mean: jax.Array, inverse: jax.Array) -> jax.Array:
    """Return ``(x - mean) inverse`` in the dtype of the vectors, ``[C]`` each."""
    return (x.astype(mean.dtype) - along(mean, x)) * along(inverse, x)


def rows_of(mask: jax.Array, x: jax.Array) -> jax.Array:
    """Return ``[N]`` of bool as ``[N, 1, ...]``, of as many axes as ``x``."""
    return mask.reshape(-1, *[1] * (x.ndim - 1))


def along(vector: jax.Array, x: jax.Array) -> jax.Array:
    """Lay ``[C]`` along the last axis of ``x``, of as many axes."""
    return lax.expand_dims(vector, range(x.ndim - 1))
