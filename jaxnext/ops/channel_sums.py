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

MOST_ROWS = 8
"""Rows whose terms are added before the product: more of them take longer to compile and gain nothing."""

Terms = Callable[..., tuple[jax.Array, ...]]


def channel_sums(terms: Terms, *arrays: jax.Array) -> tuple[jax.Array, ...]:
    """Sums of ``terms(*arrays)`` over all axes but the last.

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


def _by_sum(terms: Terms, arrays: Sequence[jax.Array]) -> tuple[jax.Array, ...]:
    return tuple(term.sum(range(term.ndim - 1)) for term in terms(*arrays))


def _by_product(terms: Terms, arrays: Sequence[jax.Array]) -> tuple[jax.Array, ...]:
    lead = arrays[0].shape[:-1]
    rows = arrays[0].size // max(arrays[0].shape[-1], 1)
    if rows == 0:
        return _by_sum(terms, arrays)
    together = max(count for count in range(1, MOST_ROWS + 1) if rows % count == 0)
    split = [
        jnp.broadcast_to(array, (*lead, array.shape[-1])).reshape(rows // together, together, array.shape[-1])
        for array in arrays
    ]
    totals = terms(*(array[:, 0] for array in split))
    for place in range(1, together):
        more = terms(*(array[:, place] for array in split))
        totals = tuple(total + term for total, term in zip(totals, more, strict=True))
    return tuple(_column_sums(total) for total in totals)


def _column_sums(x: jax.Array) -> jax.Array:
    ones = jnp.ones(x.shape[:1], x.dtype)
    return lax.dot_general(ones, x, (((0,), (0,)), ((), ())), precision=lax.Precision.HIGHEST)
