"""Dense convolutions as implicit matrix products, in Pallas: for accelerators, whose matrix units want 128 channels.

Nothing is copied out for it: for each position of the kernel a tile of output pixels loads the pixels of the input that
it meets and multiplies them with that position's matrix. Sums are float32, or float64 for float64.

In interpret mode on a CPU it is tested; it lowers for GPUs (Triton) and for TPUs (Mosaic), but was never compiled for
or run on one. It keeps to what both take: sizes of tiles are powers of two, indices that change lie on leading axes,
offsets along the width and the channels are static, no two programs of the grid write to the same place.
"""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as pltriton

_TILE = 128
"""Output pixels and channels of a tile."""
_LEAST = 16
"""What Triton's products take."""


def convolve(x: jax.Array, kernel: jax.Array, stride: int, size: tuple[int, int]) -> jax.Array:
    """Cross-correlate blocks of channels, each dense.

    Args:
        x: ``[blocks, N, H, W, C]``, padded.
        kernel: ``[blocks, kh, kw, C, F]``, same dtype.
        stride: of both spatial axes.
        size: height and width of the output, ``H'`` and ``W'``.

    Returns:
        ``[blocks, N, H', W', F]``, same dtype.
    """
    blocks, kh, kw, channels, features = kernel.shape
    rows, width, count = _tiles(size)
    inputs, outputs = _whole(channels), _whole(features)
    x = _phases(x, stride, count * rows + (kh - 1) // stride, width + (kw - 1) // stride, inputs)
    kernel = _padded(kernel, {3: inputs, 4: outputs})
    images, tile = x.shape[1], min(outputs, _TILE)

    def program(x_ref: Any, kernel_ref: Any, y_ref: Any) -> None:
        start = pl.program_id(2) * rows
        total = jnp.zeros((rows * width, tile), _wide(x.dtype))
        for i, j, channel in itertools.product(range(kh), range(kw), range(0, inputs, min(inputs, _TILE))):
            part = pl.ds(channel, min(inputs, _TILE))
            pixels = _pixels(x_ref, (i, j), stride, start, rows, width, part)
            total += _product(pixels, kernel_ref[i, j, part, :], 1)
        y_ref[...] = total.reshape(rows, width, tile).astype(y_ref.dtype)

    y = _on_platform(
        program,
        grid=(blocks, images, count, outputs // tile),
        in_specs=[
            pl.BlockSpec((None, None, *x.shape[2:]), lambda b, n, r, f: (b, n, 0, 0, 0, 0, 0)),
            pl.BlockSpec((None, kh, kw, inputs, tile), lambda b, n, r, f: (b, 0, 0, 0, f)),
        ],
        out_specs=pl.BlockSpec((None, None, rows, width, tile), lambda b, n, r, f: (b, n, r, 0, f)),
        out_shape=jax.ShapeDtypeStruct((blocks, images, count * rows, width, outputs), x.dtype),
    )(x, kernel)
    return y[:, :, : size[0], : size[1], :features]


def kernel_gradient(x: jax.Array, dy: jax.Array, window: tuple[int, int], stride: int) -> jax.Array:
    """Return the gradient of ``convolve``'s kernel.

    Args:
        x: ``[blocks, N, H, W, C]``, padded.
        dy: gradient of the output, ``[blocks, N, H', W', F]``, same dtype.
        window: the kernel's height and width.
        stride: of both spatial axes.

    Returns:
        ``[blocks, kh, kw, C, F]``, same dtype. Each image's is written, in the dtype of the sums, before they are
        summed: programs of a GPU's grid must not wait for each other.
    """
    (kh, kw), channels, features = window, x.shape[-1], dy.shape[-1]
    rows, width, count = _tiles((dy.shape[2], dy.shape[3]))
    inputs, outputs = _whole(channels), _whole(features)
    x = _phases(x, stride, count * rows + (kh - 1) // stride, width + (kw - 1) // stride, inputs)
    dy = _padded(dy, {2: count * rows, 3: width, 4: outputs})
    tiles = min(inputs, _TILE), min(outputs, _TILE)

    def program(x_ref: Any, dy_ref: Any, dkernel_ref: Any) -> None:
        for i, j in itertools.product(range(kh), range(kw)):

            def add(tile: jax.Array, total: jax.Array, place: tuple[int, int] = (i, j)) -> jax.Array:
                start = tile * rows
                pixels = _pixels(x_ref, place, stride, start, rows, width, slice(None))
                gradient = dy_ref[pl.ds(start, rows)].reshape(rows * width, tiles[1])
                return total + _product(pixels, gradient, 0)

            zero = jnp.zeros(tiles, _wide(x.dtype))
            dkernel_ref[i, j] = lax.fori_loop(np.int32(0), np.int32(count), add, zero)

    dkernel = _on_platform(
        program,
        grid=(*x.shape[:2], inputs // tiles[0], outputs // tiles[1]),
        in_specs=[
            pl.BlockSpec((None, None, *x.shape[2:6], tiles[0]), lambda b, n, c, f: (b, n, 0, 0, 0, 0, c)),
            pl.BlockSpec((None, None, count * rows, width, tiles[1]), lambda b, n, c, f: (b, n, 0, 0, f)),
        ],
        out_specs=pl.BlockSpec((None, None, kh, kw, *tiles), lambda b, n, c, f: (b, n, 0, 0, c, f)),
        out_shape=jax.ShapeDtypeStruct((*x.shape[:2], kh, kw, inputs, outputs), _wide(x.dtype)),
    )(x, dy)
    return dkernel.sum(1)[..., :channels, :features].astype(x.dtype)


def _on_platform(program: Any, **how: Any) -> Any:
    """Compile a program by Triton or, on a TPU, Mosaic; interpret it on a CPU, for which Pallas has no compiler."""
    interpreted, mosaic = (pl.pallas_call(program, interpret=interpret, **how) for interpret in (True, False))
    triton = pl.pallas_call(program, compiler_params=pltriton.CompilerParams(), **how)
    return functools.partial(lax.platform_dependent, cpu=interpreted, tpu=mosaic, default=triton)


def _pixels(
    x_ref: Any, place: tuple[int, int], stride: int, start: Any, rows: int, width: int, channels: Any
) -> jax.Array:
    """Return the input that a tile of output pixels meets at a place of the kernel, ``[rows * width, channels]``."""
    (down, i), (right, j) = divmod(place[0], stride), divmod(place[1], stride)
    pixels = x_ref[i, j, pl.ds(start + down, rows), pl.ds(right, width), channels]
    return pixels.reshape(rows * width, pixels.shape[-1])


def _product(first: jax.Array, second: jax.Array, contracted: int) -> jax.Array:
    # float32 as such, never in TensorFloat-32 or in parts of bfloat16.
    precision = lax.Precision.DEFAULT if first.dtype == jnp.bfloat16 else lax.Precision.HIGHEST
    axes = (((contracted,), (0,)), ((), ()))
    return lax.dot_general(first, second, axes, precision, preferred_element_type=_wide(first.dtype))


def _phases(x: jax.Array, stride: int, height: int, width: int, channels: int) -> jax.Array:
    """Give ``[blocks, N, stride, stride, height, width, channels]``: what a kernel's place meets lies together."""
    blocks, images = x.shape[:2]
    x = _padded(x, {2: height * stride, 3: width * stride, 4: channels})
    x = x.reshape(blocks, images, height, stride, width, stride, channels)
    return x.transpose(0, 1, 3, 5, 2, 4, 6)


def _padded(x: jax.Array, sizes: dict[int, int]) -> jax.Array:
    """Put zeros behind, or cut, to these sizes of axes."""
    edges = [(0, sizes.get(axis, size) - size, 0) for axis, size in enumerate(x.shape)]
    return lax.pad(x, jnp.zeros((), x.dtype), edges)


def _tiles(size: tuple[int, int]) -> tuple[int, int, int]:
    """Return rows and width of a tile of output pixels, and how many tiles lie below each other."""
    height, width = _power_of_two(size[0]), max(_power_of_two(size[1]), _LEAST // 2)
    rows = max(min(_TILE // width, height), _LEAST // width, 1)
    return rows, width, -(-size[0] // rows)


def _whole(channels: int) -> int:
    """Return channels of a block, with zeros behind them: a tile's or several tiles'."""
    return max(_power_of_two(channels), _LEAST) if channels <= _TILE else -(-channels // _TILE) * _TILE


def _power_of_two(number: int) -> int:
    return 1 << (number - 1).bit_length()


def _wide(dtype: jnp.dtype) -> jnp.dtype:
    return jnp.promote_types(dtype, jnp.float32)
