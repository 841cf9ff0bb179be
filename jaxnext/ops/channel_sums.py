"""Sums over everything but the channels, in the way that suits the machine.

XLA's CPU backend sums over leading axes in a library that reads arrays, not expressions: what is to be summed is
written out first, and read again for every sum. Here the terms of neighbouring rows are added by ordinary element-wise
operations, which XLA fuses with whatever computes the terms; what is left, an eighth of the size, is summed by a
matrix product with ones, into which XLA fuses nothing.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax

IN_SUM = 8
"""Rows whose terms are added before the product, at most; with four or sixteen a training step took as long."""

IN_PRODUCT = 16
"""Rows that a product adds, at most."""

ROWS_AT_ONCE = 4096
"""From which on XLA for GPUs sums in two kernels. Fewer it sums in one, but writes out first what two sums share."""

Terms = Callable[..., tuple[jax.Array, ...]]


def channel_sums(terms: Terms, *arrays: jax.Array) -> tuple[jax.Array, ...]:
    """Sum ``terms(*arrays)`` over all axes but the last.

    Args:
        terms: element-wise in the arrays' rows; each result has the channels of the first array and its own dtype.
        arrays: ``[N, ..., C]``, and others that can be broadcast to the shape of the first but for the last axis,
            which may be 1.

    Returns:
        ``[C]`` for each of the results of ``terms``, in its dtype.
    """
    return lax.platform_dependent(
        *arrays, cpu=lambda *arrays: _by_product(terms, arrays), default=lambda *arrays: _by_sum(terms, arrays)
    )


def sums_at_once(terms: Sequence[jax.Array]) -> tuple[jax.Array, ...]:
    """Sum each over all axes but the last, all in one reduction, which XLA for GPUs computes with fewer kernels.

    JAX cannot differentiate it.

    Args:
        terms: ``[N, ..., C]`` each, of one dtype.

    Returns:
        ``[C]`` for each.
    """
    zeros = tuple(jnp.zeros((), term.dtype) for term in terms)

    def add(before: tuple[jax.Array, ...], more: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        return tuple(a + b for a, b in zip(before, more, strict=True))

    if terms[0].size < ROWS_AT_ONCE * terms[0].shape[-1]:
        inner = tuple(range(1, terms[0].ndim - 1))
        terms = lax.optimization_barrier(lax.reduce(tuple(terms), zeros, add, inner))
    return lax.reduce(tuple(terms), zeros, add, tuple(range(terms[0].ndim - 1)))


def _by_sum(terms: Terms, arrays: Sequence[jax.Array]) -> tuple[jax.Array, ...]:
    return tuple(term.sum(range(term.ndim - 1)) for term in terms(*arrays))


def _by_product(terms: Terms, arrays: Sequence[jax.Array]) -> tuple[jax.Array, ...]:
    lead = arrays[0].shape[:-1]
    rows = arrays[0].size // max(arrays[0].shape[-1], 1)
    if rows == 0:
        return _by_sum(terms, arrays)
    together = _divisor(rows, IN_SUM)
    split = [
        jnp.broadcast_to(array, (*lead, array.shape[-1])).reshape(rows // together, together, array.shape[-1])
        for array in arrays
    ]
    places = [terms(*(array[:, place] for array in split)) for place in range(together)]
    return tuple(_column_sums(_pairwise_sum(each)) for each in zip(*places, strict=True))


def _divisor(rows: int, most: int) -> int:
    return max(count for count in range(1, most + 1) if rows % count == 0)


def _pairwise_sum(terms: Sequence[jax.Array]) -> jax.Array:
    """Add in pairs, and pairs of these: the error grows with the depth."""
    while len(terms) > 1:
        terms = [sum(terms[place + 1 : place + 2], start=terms[place]) for place in range(0, len(terms), 2)]
    return terms[0]


def _column_sums(x: jax.Array) -> jax.Array:
    # In blocks: the product adds one row after the other, and in float32 the error grows with their number.
    rows, channels = x.shape
    together = _divisor(rows, IN_PRODUCT)
    x = x.reshape(rows // together, together, channels)
    ones = jnp.ones(x.shape[:2], x.dtype)
    with jax.named_scope("channel_sums"):
        return lax.dot_general(ones, x, (((1,), (1,)), ((0,), (0,))), precision=lax.Precision.HIGHEST).sum(0)
