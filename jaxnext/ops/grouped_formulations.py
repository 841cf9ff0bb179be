"""The ways to compute a grouped convolution that ``grouped_conv`` chooses from: the same sums, arranged differently.

Each formulation is a forward function and the gradient of the kernel; the gradient of the input is the forward
function of the output's gradient with the kernel turned round. All can be differentiated again.

- ``native``: ``lax.conv_general_dilated`` with ``feature_group_count``.
- ``packedN``: neighbouring groups become block-diagonal dense kernels of about N channels, each block one convolution.
- ``spare32``: as ``packed32``, with one more row of zeros below, whose results are dropped. XLA hands a convolution
  whose output is no taller than its input to a library that computes it on one CPU thread; this one it computes on all.
- ``mergedN``: neighbouring groups become one of about N channels, with zeros within, in one convolution of XLA's.
- ``pallas``: an implicit matrix product over blocks of about 128 channels, for the matrix units of GPUs and TPUs; on a
  CPU it is interpreted, slowly.
- ``lanes``: the group index innermost, so that a vector register holds one channel of many groups; multiply-adds.
  The kernel's gradient is that of ``packed32``.
- ``onednn``: a call of the library that PyTorch uses on x86 CPUs, for float32 and where ``onednn`` allows it.
"""

import itertools
from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp

from .cpu import onednn
from .merged_conv import merged, merged_kernel_gradient
from .packed_conv import (
    Geometry,
    block_diagonal,
    blocks_of,
    diagonal_blocks,
    kernel_gradient_padding,
    native,
    native_kernel_gradient,
    packed,
    packed_kernel_gradient,
    pad,
    spare,
)

Formulation = Literal[
    "native",
    "packed32",
    "packed64",
    "merged128",
    "merged256",
    "spare32",
    "pallas",
    "lanes",
    "onednn",
]
NAMES: tuple[Formulation, ...] = get_args(Formulation)


class Parts(NamedTuple):
    """One way to compute it."""

    forward: Callable[[jax.Array, jax.Array, Geometry], jax.Array]
    """input ``[N, H, W, C]``, kernel ``[kh, kw, C // groups, F]``, geometry; output ``[N, H', W', F]``"""
    kernel_gradient: Callable[[jax.Array, jax.Array, tuple[int, int], Geometry], jax.Array]
    """input, gradient of the output, kernel's height and width, geometry (undilated); ``[kh, kw, C // groups, F]``"""


def parts(name: Formulation) -> Parts:
    """Return the functions of a formulation.

    Args:
        name: among ``NAMES``.

    Raises:
        ValueError: unknown name.
    """
    if name not in NAMES:
        raise ValueError(f"grouped_conv: expected a formulation among {', '.join(NAMES)}, found {name!r}")
    family = name.rstrip("0123456789")
    if family == "native":
        return Parts(native, native_kernel_gradient)
    if family == "pallas":
        return Parts(_pallas, _pallas_kernel_gradient)
    if family == "lanes":
        return parts("packed32")._replace(forward=_lanes)
    if family == "onednn":
        return Parts(_onednn, _onednn_kernel_gradient)
    channels = int(name.removeprefix(family))
    convolve, kernel_gradient = {
        "packed": (packed, packed_kernel_gradient),
        "spare": (spare, packed_kernel_gradient),
        "merged": (merged, merged_kernel_gradient),
    }[family]
    return Parts(
        lambda x, kernel, geometry: convolve(x, kernel, geometry, channels),
        lambda x, dy, window, geometry: kernel_gradient(x, dy, window, geometry, channels),
    )


def input_gradient(
    forward: Callable[[jax.Array, jax.Array, Geometry], jax.Array],
    dy: jax.Array,
    kernel: jax.Array,
    size: tuple[int, int],
    geometry: Geometry,
) -> jax.Array:
    """Compute the gradient of the input by a forward function.

    Args:
        forward: of any formulation.
        dy: gradient of the output, ``[N, H', W', F]``.
        kernel: ``[kh, kw, C // groups, F]``.
        size: height and width of the input.
        geometry: of the convolution; undilated.

    Returns:
        ``[N, H, W, C]``.
    """
    kh, kw, per_group, features = kernel.shape
    groups = geometry.groups
    turned = kernel[::-1, ::-1].reshape(kh, kw, per_group, groups, features // groups)
    turned = turned.transpose(0, 1, 4, 3, 2).reshape(kh, kw, features // groups, groups * per_group)
    padding = []
    for axis, window in enumerate((kh, kw)):
        low = window - 1 - geometry.padding[axis][0]
        spread = (dy.shape[1 + axis] - 1) * geometry.stride + 1
        padding.append((low, size[axis] + window - 1 - spread - low))
    return forward(dy, turned, Geometry(1, (padding[0], padding[1]), groups, geometry.stride))


# ---- Implicit matrix products in Pallas ----


def _split_blocks(x: jax.Array, blocks: int) -> jax.Array:
    """Turn ``[N, H, W, C]`` to ``[blocks, N, H, W, C // blocks]``."""
    return jnp.moveaxis(x.reshape(*x.shape[:3], blocks, -1), 3, 0)


def _pallas(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    from . import implicit_gemm  # when asked only: Pallas is experimental

    def call(x: jax.Array, kernel: jax.Array) -> jax.Array:
        blocks, in_block = blocks_of(geometry.groups, kernel.shape[2], 128)
        size = geometry.output_size(x, kernel)
        dense = jnp.stack([block_diagonal(part, in_block) for part in jnp.split(kernel, blocks, axis=-1)])
        split = _split_blocks(pad(x, geometry.padding, geometry.dilation), blocks)
        y = implicit_gemm.convolve(split, dense, geometry.stride, size)
        return jnp.moveaxis(y, 0, 3).reshape(x.shape[0], *size, kernel.shape[-1])

    return with_gradient_of(call, lambda x, kernel: packed(x, kernel, geometry, 128))(x, kernel)


def _pallas_kernel_gradient(x: jax.Array, dy: jax.Array, window: tuple[int, int], geometry: Geometry) -> jax.Array:
    from . import implicit_gemm

    def call(x: jax.Array, dy: jax.Array) -> jax.Array:
        blocks, in_block = blocks_of(geometry.groups, x.shape[-1] // geometry.groups, 128)
        split = _split_blocks(pad(x, geometry.padding, 1), blocks)
        dense = implicit_gemm.kernel_gradient(split, _split_blocks(dy, blocks), window, geometry.stride)
        return jnp.concatenate([diagonal_blocks(block, in_block) for block in dense], axis=-1)

    return with_gradient_of(call, lambda x, dy: packed_kernel_gradient(x, dy, window, geometry, 128))(x, dy)


# ---- Multiply-adds, one group a lane ----


def _to_lanes(x: jax.Array, groups: int) -> jax.Array:
    """Turn ``[..., C]`` to ``[..., C // groups, groups]``."""
    return x.reshape(*x.shape[:-1], groups, -1).swapaxes(-1, -2)


def _lanes(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    kh, kw = kernel.shape[:2]
    stride = geometry.stride
    rows, columns = ((count - 1) * stride + 1 for count in geometry.output_size(x, kernel))
    spread = _to_lanes(kernel, geometry.groups)  # [kh, kw, in, out, groups]
    x = _to_lanes(pad(x, geometry.padding, geometry.dilation), geometry.groups)
    accumulator = jnp.promote_types(x.dtype, jnp.float32)
    total = jnp.zeros((), accumulator)
    for i, j in itertools.product(range(kh), range(kw)):
        met = x[:, i : i + rows : stride, j : j + columns : stride]
        for channel in range(spread.shape[2]):
            weights = spread[None, None, None, i, j, channel].astype(accumulator)
            total = total + met[:, :, :, channel, None].astype(accumulator) * weights
    return total.swapaxes(-1, -2).reshape(*total.shape[:-2], -1).astype(x.dtype)


# ---- oneDNN ----


def _onednn(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    _check_onednn(x)

    def call(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return _by_onednn(x, kernel, geometry, 1)

    return with_gradient_of(call, lambda x, kernel: packed(x, kernel, geometry, 32))(x, kernel)


def _onednn_kernel_gradient(x: jax.Array, dy: jax.Array, window: tuple[int, int], geometry: Geometry) -> jax.Array:
    _check_onednn(x)

    def by_packing(x: jax.Array, dy: jax.Array) -> jax.Array:
        return packed_kernel_gradient(x, dy, window, geometry, 32)

    def call(x: jax.Array, dy: jax.Array) -> jax.Array:
        # As in ``packed_kernel_gradient``, but with the groups left to the library: the channels of a group are the
        # batch, and the batch the input channels of every group.
        groups = geometry.groups
        padding, size = kernel_gradient_padding(x, dy, window, geometry), (*dy.shape[1:3], dy.shape[0], dy.shape[3])
        if not onednn.supports(size, geometry.stride, groups):
            return by_packing(x, dy)
        x = jnp.moveaxis(x.reshape(*x.shape[:3], groups, -1), (4, 0), (0, 4))
        x = x.reshape(*x.shape[:3], -1)
        dense = _by_onednn(x, dy, Geometry(1, padding, groups), geometry.stride, "IHWO")
        return jnp.moveaxis(dense, 0, 2)

    return with_gradient_of(call, by_packing)(x, dy)


def _check_onednn(x: jax.Array) -> None:
    if (reason := onednn.why_unavailable(x.dtype)) is not None:
        raise ValueError(f"grouped_conv: the formulation 'onednn' cannot be used: {reason}")


def _by_onednn(
    x: jax.Array, kernel: jax.Array, geometry: Geometry, kernel_dilation: int, kernel_axes: str = "HWIO"
) -> jax.Array:
    """Call ``onednn.convolve``, which takes no dilated input, no negative padding and no array without values."""
    stride, padding, groups, dilation = geometry
    none = ((0, 0), (0, 0))
    if min(map(min, padding)) < 0:
        x, padding = pad(x, padding, dilation), none
    elif dilation > 1:
        x = pad(x, none, dilation)
    if x.size and kernel.size:
        return onednn.convolve(x, kernel, stride, padding, kernel_dilation, groups, kernel_axes=kernel_axes)
    size = [kernel.shape[kernel_axes.index(axis)] for axis in "HWIO"]
    return jnp.zeros(onednn.output_shape(x, size, stride, padding, kernel_dilation), x.dtype)


def with_gradient_of(fast: Callable[..., jax.Array], slow: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """Give ``fast`` the derivatives of ``slow``, which computes the same."""
    function = jax.custom_vjp(fast)
    function.defvjp(lambda *both: (fast(*both), both), lambda both, dy: jax.vjp(slow, *both)[1](dy))
    return function
