"""A grouped convolution as dense ones: neighbouring groups packed into block-diagonal kernels, for XLA to convolve.

Beside it stand XLA's own grouped convolution and what all formulations share: how windows lie on the input.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from .cpu.onednn import Padding
from .product_precision import product_precision

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


class Geometry(NamedTuple):
    """How windows lie on the input; all static."""

    stride: int
    """of both spatial axes"""
    padding: Padding
    """zeros before and after, for height and for width; negative ones crop"""
    groups: int
    dilation: int = 1
    """distance of the input's values, with zeros between them"""

    def output_size(self, x: jax.Array, kernel: jax.Array) -> tuple[int, int]:
        """Return height and width of the output for an input ``[N, H, W, ...]`` and a kernel ``[kh, kw, ...]``."""
        height, width = (
            ((x.shape[1 + axis] - 1) * self.dilation + 1 + sum(self.padding[axis]) - kernel.shape[axis]) // self.stride
            + 1
            for axis in (0, 1)
        )
        return height, width


# ---- XLA's own ----


def native(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """Convolve by XLA's own grouped convolution; arguments and result as ``grouped_formulations.Parts.forward``."""
    return _conv(x, kernel, geometry, geometry.groups)


def _conv(x: jax.Array, kernel: jax.Array, geometry: Geometry, groups: int = 1) -> jax.Array:
    stride, padding, _, dilation = geometry
    x, padding, dilation = _safely_padded(x, (kernel.shape[0], kernel.shape[1]), padding, dilation)
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        padding,
        lhs_dilation=(dilation, dilation),
        dimension_numbers=_DIMENSIONS,
        feature_group_count=groups,
        precision=product_precision(x.dtype),
    )


def native_kernel_gradient(x: jax.Array, dy: jax.Array, window: tuple[int, int], geometry: Geometry) -> jax.Array:
    """Return XLA's own gradient of the kernel, as ``grouped_formulations.Parts.kernel_gradient``."""
    kernel = jax.ShapeDtypeStruct((*window, x.shape[-1] // geometry.groups, dy.shape[-1]), x.dtype)
    return jax.linear_transpose(lambda kernel: native(x, kernel, geometry), kernel)(dy)[0]


def _safely_padded(
    x: jax.Array, window: tuple[int, int], padding: Padding, dilation: int
) -> tuple[jax.Array, Padding, int]:
    """Return input, padding and dilation for XLA, which on the CPU reads outside of an input that is cropped at its
    beginning and padded at its end (openxla/xla#48713); so does its gradient where the padding is as long as the
    window."""
    if all(0 <= low < length for (low, _), length in zip(padding, window, strict=True)):
        return x, padding, dilation
    return pad(x, padding, dilation), ((0, 0), (0, 0)), 1


def pad(x: jax.Array, padding: Padding, dilation: int) -> jax.Array:
    """Put zeros between the values of height and width of ``[N, H, W, C]`` and around them; negative padding crops."""
    spatial = [(low, high, dilation - 1) for low, high in padding]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *spatial, (0, 0, 0)])


# ---- Dense convolutions of packed groups ----


def blocks_of(groups: int, per_group: int, channels: int) -> tuple[int, int]:
    """Return blocks and groups in each, so that a block has at most ``channels`` input channels or one group."""
    in_block = max((g for g in range(1, groups + 1) if groups % g == 0 and g * per_group <= channels), default=1)
    return groups // in_block, in_block


def packed(x: jax.Array, kernel: jax.Array, geometry: Geometry, channels: int) -> jax.Array:
    """Convolve blocks of about ``channels`` input channels, each densely."""
    return jnp.concatenate(_dense_outputs(x, kernel, geometry, channels), axis=-1)


def spare(x: jax.Array, kernel: jax.Array, geometry: Geometry, channels: int) -> jax.Array:
    """Convolve as ``packed``, with one more row of zeros below, whose results are dropped."""
    (top, bottom), sides = geometry.padding
    taller = geometry._replace(padding=((top, bottom + geometry.stride), sides))
    rows = geometry.output_size(x, kernel)[0]
    # Each block is cut by itself, not their concatenation: XLA cuts while it concatenates.
    outputs = [output[:, :rows] for output in _dense_outputs(x, kernel, taller, channels)]
    return jnp.concatenate(outputs, axis=-1)


def _dense_outputs(x: jax.Array, kernel: jax.Array, geometry: Geometry, channels: int) -> list[jax.Array]:
    """Return the output channels of each block."""
    blocks, in_block = blocks_of(geometry.groups, kernel.shape[2], channels)
    pairs = zip(jnp.split(x, blocks, axis=-1), jnp.split(kernel, blocks, axis=-1), strict=True)
    return [_conv(part, block_diagonal(k, in_block), geometry) for part, k in pairs]


def packed_kernel_gradient(
    x: jax.Array, dy: jax.Array, window: tuple[int, int], geometry: Geometry, channels: int
) -> jax.Array:
    """Return the kernel's gradient, computed in the blocks of ``packed``."""
    # It is a convolution as well: channels take the place of the batch, the batch that of the
    # input channels, and the output's gradient is the kernel.
    blocks, in_block = blocks_of(geometry.groups, x.shape[-1] // geometry.groups, channels)
    stride = (geometry.stride, geometry.stride)
    padding = kernel_gradient_padding(x, dy, window, geometry)
    x, padding, _ = _safely_padded(x, _reach(dy, geometry), padding, 1)
    pairs = zip(jnp.split(x, blocks, axis=-1), jnp.split(dy, blocks, axis=-1), strict=True)
    dense = [
        lax.conv_general_dilated(
            part,
            gradient,
            (1, 1),
            padding,
            rhs_dilation=stride,
            dimension_numbers=("CHWN", "IHWO", "HWNC"),
            precision=product_precision(x.dtype),
        )
        for part, gradient in pairs
    ]
    return jnp.concatenate([diagonal_blocks(each, in_block) for each in dense], axis=-1)


def kernel_gradient_padding(x: jax.Array, dy: jax.Array, window: tuple[int, int], geometry: Geometry) -> Padding:
    """Return the padding for the convolution of the input with the output's gradient, spread, that gives ``window``."""
    padding = []
    for axis, reach in enumerate(_reach(dy, geometry)):
        low, size = geometry.padding[axis][0], x.shape[1 + axis]
        padding.append((low, window[axis] - 1 + reach - size - low))
    return padding[0], padding[1]


def _reach(dy: jax.Array, geometry: Geometry) -> tuple[int, int]:
    """Return height and width of the output's gradient, spread by the stride."""
    return (dy.shape[1] - 1) * geometry.stride + 1, (dy.shape[2] - 1) * geometry.stride + 1


def block_diagonal(kernel: jax.Array, groups: int) -> jax.Array:
    """Return the dense kernel that computes a grouped one: zero wherever input and output group differ.

    Args:
        kernel: ``[kh, kw, C // groups, F]``.
        groups: number of groups in it.

    Returns:
        ``[kh, kw, C, F]`` of the same dtype.
    """
    kh, kw, per_group, features = kernel.shape
    split = kernel.reshape(kh, kw, 1, per_group, groups, features // groups)
    return jnp.where(_same_group(groups), split, 0).reshape(kh, kw, groups * per_group, features)


def diagonal_blocks(dense: jax.Array, groups: int) -> jax.Array:
    """Return the grouped kernel within a dense one: the inverse of ``block_diagonal``."""
    kh, kw, channels, features = dense.shape
    split = dense.reshape(kh, kw, groups, channels // groups, groups, features // groups)
    return jnp.where(_same_group(groups), split, 0).sum(2).reshape(kh, kw, channels // groups, features)


def _same_group(groups: int) -> jax.Array:
    return jnp.eye(groups, dtype=bool)[:, None, :, None]
