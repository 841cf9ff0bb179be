"""The input's gradient of a 3x3 convolution with stride 2 as one convolution without stride, for GPUs.

XLA convolves the output's gradient with zeros between its values, which it writes out first: four times as many values,
of which three quarters are zero. But the values at even rows meet one row of the kernel and those at odd rows two, and
so along the columns: the four kinds of place are four groups of output channels of a 2x2 convolution of the gradient
as it is.
"""

import itertools

import jax
import jax.numpy as jnp

from .packed_conv import Geometry, native

_TAPS = ((1, None), (2, 0))
"""For places at even and at odd rows, the kernel's row that meets the gradient's row at half of it, and the next."""


def applies(size: tuple[int, int], window: tuple[int, int], geometry: Geometry) -> bool:
    """Return whether a convolution of an input of this height and width is such a one: both even, padded by one."""
    sizes_are_even = not (size[0] % 2 or size[1] % 2)
    return window == (3, 3) and geometry[:2] == (2, ((1, 1), (1, 1))) and sizes_are_even and geometry.dilation == 1


def strided_input_gradient(dy: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """Return the input's gradient.

    Args:
        dy: gradient of the output, ``[N, H, W, F]``.
        kernel: ``[3, 3, C // groups, F]``.
        geometry: of the convolution.

    Returns:
        ``[N, 2 H, 2 W, C]``.
    """
    groups, per_group = geometry.groups, kernel.shape[2]
    turned = kernel.reshape(3, 3, per_group, groups, -1).transpose(0, 1, 4, 3, 2)
    none = jnp.zeros(turned.shape[2:], kernel.dtype)

    def meets(row: int | None, column: int | None) -> jax.Array:
        return none if row is None or column is None else turned[row, column]

    taps = [
        jnp.stack([meets(_TAPS[a][t], _TAPS[b][s]) for a, b in itertools.product((0, 1), repeat=2)], 2)
        for t, s in itertools.product((0, 1), repeat=2)
    ]
    # Each tap is [F // groups, groups, 4, C // groups].
    spread = jnp.stack(taps).reshape(2, 2, taps[0].shape[0], -1)
    # Padded on one side alone it would be copied before: what the other side adds is cut where it is read.
    four = native(dy, spread, Geometry(1, ((1, 1), (1, 1)), groups))[:, 1:, 1:]
    n, height, width = four.shape[:3]
    four = four.reshape(n, height, width, groups, 2, 2, per_group).transpose(0, 1, 4, 2, 5, 3, 6)
    return four.reshape(n, 2 * height, 2 * width, groups * per_group)
