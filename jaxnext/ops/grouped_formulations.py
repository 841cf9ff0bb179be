"""The ways to compute a grouped convolution that ``grouped_conv`` chooses from: the same sums, arranged differently.

Each formulation is a forward function and the gradient of the kernel; the gradient of the input is the forward
function of the output's gradient with the kernel turned round. All can be differentiated again.

- ``native``: ``lax.conv_general_dilated`` with ``feature_group_count``.
- ``packedN``: neighbouring groups become block-diagonal dense kernels of about N channels, each block one convolution.
- ``spareN``: as ``packedN``, with one more row of zeros below, whose results are dropped. XLA hands a convolution whose
  output is no taller than its input to a library that computes it on one CPU thread; this one it computes on all.
- ``shiftedN``: an implicit matrix product: for each kernel position one batched product of a shifted slice with
  blocks of about N channels, summed in float32.
- ``pallas``: an implicit matrix product over blocks of about 128 channels, for the matrix units of GPUs and TPUs; on a
  CPU it is interpreted, slowly.
- ``lanes``: the group index innermost, so that a vector register holds one channel of many groups; multiply-adds.
- ``onednn``: a call of the library that PyTorch uses on x86 CPUs, for float32 and where ``onednn`` allows it.
"""

import itertools
from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jax import lax

from .cpu import onednn
from .cpu.onednn import Padding

Formulation = Literal[
    "native",
    "packed16",
    "packed32",
    "packed64",
    "packed128",
    "spare16",
    "spare32",
    "spare64",
    "shifted16",
    "shifted32",
    "shifted64",
    "shifted128",
    "pallas",
    "lanes",
    "onednn",
]
NAMES: tuple[Formulation, ...] = get_args(Formulation)

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
        """Height and width of the output for an input ``[N, H, W, ...]`` and a kernel ``[kh, kw, ...]``."""
        height, width = (
            ((x.shape[1 + axis] - 1) * self.dilation + 1 + sum(self.padding[axis]) - kernel.shape[axis]) // self.stride
            + 1
            for axis in (0, 1)
        )
        return height, width


class Parts(NamedTuple):
    """One way to compute it."""

    forward: Callable[[jax.Array, jax.Array, Geometry], jax.Array]
    """input ``[N, H, W, C]``, kernel ``[kh, kw, C // groups, F]``, geometry; output ``[N, H', W', F]``"""
    kernel_gradient: Callable[[jax.Array, jax.Array, tuple[int, int], Geometry], jax.Array]
    """input, gradient of the output, kernel's height and width, geometry (undilated); ``[kh, kw, C // groups, F]``"""


def parts(name: Formulation) -> Parts:
    """The functions of a formulation.

    Raises:
        ValueError: unknown name.
    """
    if name not in NAMES:
        raise ValueError(f"grouped_conv: expected a formulation among {', '.join(NAMES)}, found {name!r}")
    family = name.rstrip("0123456789")
    if family == "native":
        return Parts(_native, _native_kernel_gradient)
    if family == "pallas":
        return Parts(_pallas, _pallas_kernel_gradient)
    if family == "lanes":
        return Parts(_lanes, _lanes_kernel_gradient)
    if family == "onednn":
        return Parts(_onednn, _onednn_kernel_gradient)
    channels = int(name.removeprefix(family))
    forward, kernel_gradient = {
        "packed": (_packed, _packed_kernel_gradient),
        "spare": (_spare, _packed_kernel_gradient),
        "shifted": (_shifted, _shifted_kernel_gradient),
    }[family]
    return Parts(
        lambda x, kernel, geometry: forward(x, kernel, geometry, channels),
        lambda x, dy, window, geometry: kernel_gradient(x, dy, window, geometry, channels),
    )


def input_gradient(
    forward: Callable[[jax.Array, jax.Array, Geometry], jax.Array],
    dy: jax.Array,
    kernel: jax.Array,
    size: tuple[int, int],
    geometry: Geometry,
) -> jax.Array:
    """The gradient of the input, computed by a forward function.

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


# ---- XLA's own ----


def _native(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
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
    )


def _native_kernel_gradient(x: jax.Array, dy: jax.Array, window: tuple[int, int], geometry: Geometry) -> jax.Array:
    kernel = jax.ShapeDtypeStruct((*window, x.shape[-1] // geometry.groups, dy.shape[-1]), x.dtype)
    return jax.linear_transpose(lambda kernel: _native(x, kernel, geometry), kernel)(dy)[0]


def _safely_padded(
    x: jax.Array, window: tuple[int, int], padding: Padding, dilation: int
) -> tuple[jax.Array, Padding, int]:
    """Input, padding and dilation for XLA, which on the CPU reads outside of an input that is cropped at its beginning
    and padded at its end (openxla/xla#48713); so does its gradient where the padding is as long as the window."""
    if all(0 <= low < length for (low, _), length in zip(padding, window, strict=True)):
        return x, padding, dilation
    return _pad(x, padding, dilation), ((0, 0), (0, 0)), 1


def _pad(x: jax.Array, padding: Padding, dilation: int) -> jax.Array:
    """``[N, H, W, C]`` with zeros between the values of height and width and around them; negative padding crops."""
    spatial = [(low, high, dilation - 1) for low, high in padding]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *spatial, (0, 0, 0)])


# ---- Dense convolutions of packed groups ----


def _blocks(groups: int, per_group: int, channels: int) -> tuple[int, int]:
    """Blocks and groups in each, so that a block has at most ``channels`` input channels or one group."""
    in_block = max((g for g in range(1, groups + 1) if groups % g == 0 and g * per_group <= channels), default=1)
    return groups // in_block, in_block


def _packed(x: jax.Array, kernel: jax.Array, geometry: Geometry, channels: int) -> jax.Array:
    return jnp.concatenate(_dense_outputs(x, kernel, geometry, channels), axis=-1)


def _spare(x: jax.Array, kernel: jax.Array, geometry: Geometry, channels: int) -> jax.Array:
    (top, bottom), sides = geometry.padding
    taller = geometry._replace(padding=((top, bottom + geometry.stride), sides))
    rows = geometry.output_size(x, kernel)[0]
    # Each block is cut by itself, not their concatenation: XLA cuts while it concatenates.
    outputs = [output[:, :rows] for output in _dense_outputs(x, kernel, taller, channels)]
    return jnp.concatenate(outputs, axis=-1)


def _dense_outputs(x: jax.Array, kernel: jax.Array, geometry: Geometry, channels: int) -> list[jax.Array]:
    """The output channels of each block."""
    blocks, in_block = _blocks(geometry.groups, kernel.shape[2], channels)
    pairs = zip(jnp.split(x, blocks, axis=-1), jnp.split(kernel, blocks, axis=-1), strict=True)
    return [_conv(part, block_diagonal(k, in_block), geometry) for part, k in pairs]


def _packed_kernel_gradient(
    x: jax.Array, dy: jax.Array, window: tuple[int, int], geometry: Geometry, channels: int
) -> jax.Array:
    # The kernel's gradient is a convolution as well: channels take the place of the batch, the batch that of the
    # input channels, and the output's gradient is the kernel.
    blocks, in_block = _blocks(geometry.groups, x.shape[-1] // geometry.groups, channels)
    stride = (geometry.stride, geometry.stride)
    padding = _kernel_gradient_padding(x, dy, window, geometry)
    x, padding, _ = _safely_padded(x, _reach(dy, geometry), padding, 1)
    pairs = zip(jnp.split(x, blocks, axis=-1), jnp.split(dy, blocks, axis=-1), strict=True)
    dense = [
        lax.conv_general_dilated(
            part, gradient, (1, 1), padding, rhs_dilation=stride, dimension_numbers=("CHWN", "IHWO", "HWNC")
        )
        for part, gradient in pairs
    ]
    return jnp.concatenate([_diagonal_blocks(each, in_block) for each in dense], axis=-1)


def _kernel_gradient_padding(x: jax.Array, dy: jax.Array, window: tuple[int, int], geometry: Geometry) -> Padding:
    """Of the convolution of the input with the output's gradient, spread by the stride, that gives ``window``."""
    padding = []
    for axis, reach in enumerate(_reach(dy, geometry)):
        low, size = geometry.padding[axis][0], x.shape[1 + axis]
        padding.append((low, window[axis] - 1 + reach - size - low))
    return padding[0], padding[1]


def _reach(dy: jax.Array, geometry: Geometry) -> tuple[int, int]:
    """Height and width of the output's gradient, spread by the stride."""
    return (dy.shape[1] - 1) * geometry.stride + 1, (dy.shape[2] - 1) * geometry.stride + 1


def block_diagonal(kernel: jax.Array, groups: int) -> jax.Array:
    """The dense kernel that computes a grouped one: zero wherever input and output group differ.

    Args:
        kernel: ``[kh, kw, C // groups, F]``.
        groups: number of groups in it.

    Returns:
        ``[kh, kw, C, F]`` of the same dtype.
    """
    kh, kw, per_group, features = kernel.shape
    split = kernel.reshape(kh, kw, 1, per_group, groups, features // groups)
    return jnp.where(_same_group(groups), split, 0).reshape(kh, kw, groups * per_group, features)


def _diagonal_blocks(dense: jax.Array, groups: int) -> jax.Array:
    """The grouped kernel within a dense one: the inverse of ``block_diagonal``."""
    kh, kw, channels, features = dense.shape
    split = dense.reshape(kh, kw, groups, channels // groups, groups, features // groups)
    return jnp.where(_same_group(groups), split, 0).sum(2).reshape(kh, kw, channels // groups, features)


def _same_group(groups: int) -> jax.Array:
    return jnp.eye(groups, dtype=bool)[:, None, :, None]


# ---- Matrix products of shifted slices ----


def _windows(x: jax.Array, window: tuple[int, int], size: tuple[int, int], stride: int) -> list[jax.Array]:
    """For each kernel position, row-major, the values of a padded input that it meets: ``[N, H', W', ...]``."""
    rows, columns = ((count - 1) * stride + 1 for count in size)
    return [
        x[:, i : i + rows : stride, j : j + columns : stride]
        for i, j in itertools.product(range(window[0]), range(window[1]))
    ]


def _shifted(x: jax.Array, kernel: jax.Array, geometry: Geometry, channels: int) -> jax.Array:
    kh, kw, per_group, features = kernel.shape
    blocks, in_block = _blocks(geometry.groups, per_group, channels)
    size = geometry.output_size(x, kernel)
    dense = jnp.stack([block_diagonal(part, in_block) for part in jnp.split(kernel, blocks, axis=-1)])
    windows = _windows(_pad(x, geometry.padding, geometry.dilation), (kh, kw), size, geometry.stride)
    total = jnp.zeros((), _accumulator(x.dtype))
    for place, part in enumerate(windows):
        split = part.reshape(*part.shape[:3], blocks, -1)
        product = _product("nhwbi,bio->nhwbo", split, dense[:, place // kw, place % kw])
        total = total + product
    return total.reshape(x.shape[0], *size, features).astype(x.dtype)


def _shifted_kernel_gradient(
    x: jax.Array, dy: jax.Array, window: tuple[int, int], geometry: Geometry, channels: int
) -> jax.Array:
    # One batched product: the input's copies shifted along its width meet the output's gradient's shifted along the
    # height, the zeros above and below them keeping rows apart, so that every pair is one position of the kernel.
    kh, kw = window
    stride, ((top, _), (left, _)), groups = geometry.stride, geometry.padding, geometry.groups
    blocks, in_block = _blocks(groups, x.shape[-1] // groups, channels)
    rows, columns = (dy.shape[1] - 1) * stride + kh, (dy.shape[2] - 1) * stride + 1
    zero = jnp.zeros((), x.dtype)
    edges = ((0, 0, 0), (top, rows - x.shape[1] - top, 0), (left, columns + kw - 1 - x.shape[2] - left, 0))
    x = lax.pad(_split_blocks(x, blocks), zero, [(0, 0, 0), *edges, (0, 0, 0)])
    shifted_x = jnp.stack([x[:, :, :, j : j + columns : stride] for j in range(kw)], 4)
    dy = _split_blocks(dy, blocks)
    rest = [(0, 0, 0)] * 2
    shifted_dy = jnp.stack([lax.pad(dy, zero, [*rest, (i, kh - 1 - i, stride - 1), *rest]) for i in range(kh)], 4)
    dense = _product("bnhwjc,bnhwif->bijcf", shifted_x, shifted_dy).astype(x.dtype)
    return jnp.concatenate([_diagonal_blocks(block, in_block) for block in dense], axis=-1)


def _split_blocks(x: jax.Array, blocks: int) -> jax.Array:
    """``[N, H, W, C]`` to ``[blocks, N, H, W, C // blocks]``."""
    return jnp.moveaxis(x.reshape(*x.shape[:3], blocks, -1), 3, 0)


def _product(subscripts: str, first: jax.Array, second: jax.Array) -> jax.Array:
    """``jnp.einsum`` with sums and result of at least float32."""
    wide = _accumulator(first.dtype)

    def widened(first: jax.Array, second: jax.Array) -> jax.Array:
        return jnp.einsum(subscripts, first.astype(wide), second.astype(wide))

    def mixed(first: jax.Array, second: jax.Array) -> jax.Array:
        return jnp.einsum(subscripts, first, second, preferred_element_type=wide)

    if first.dtype == wide:
        return widened(first, second)
    # XLA's CPU backend has no batched product of bfloat16 with a float32 result: it fails when the program runs.
    return lax.platform_dependent(first, second, cpu=widened, default=mixed)


def _accumulator(dtype: jnp.dtype) -> jnp.dtype:
    return jnp.promote_types(dtype, jnp.float32)


# ---- Implicit matrix products in Pallas ----


def _pallas(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    from . import implicit_gemm  # when asked only: Pallas is experimental

    def call(x: jax.Array, kernel: jax.Array) -> jax.Array:
        blocks, in_block = _blocks(geometry.groups, kernel.shape[2], 128)
        size = geometry.output_size(x, kernel)
        dense = jnp.stack([block_diagonal(part, in_block) for part in jnp.split(kernel, blocks, axis=-1)])
        split = _split_blocks(_pad(x, geometry.padding, geometry.dilation), blocks)
        y = implicit_gemm.convolve(split, dense, geometry.stride, size)
        return jnp.moveaxis(y, 0, 3).reshape(x.shape[0], *size, kernel.shape[-1])

    return with_gradient_of(call, lambda x, kernel: _packed(x, kernel, geometry, 128))(x, kernel)


def _pallas_kernel_gradient(x: jax.Array, dy: jax.Array, window: tuple[int, int], geometry: Geometry) -> jax.Array:
    from . import implicit_gemm

    def call(x: jax.Array, dy: jax.Array) -> jax.Array:
        blocks, in_block = _blocks(geometry.groups, x.shape[-1] // geometry.groups, 128)
        split = _split_blocks(_pad(x, geometry.padding, 1), blocks)
        dense = implicit_gemm.kernel_gradient(split, _split_blocks(dy, blocks), window, geometry.stride)
        return jnp.concatenate([_diagonal_blocks(block, in_block) for block in dense], axis=-1)

    return with_gradient_of(call, lambda x, dy: _packed_kernel_gradient(x, dy, window, geometry, 128))(x, dy)


# ---- Multiply-adds, one group a lane ----


def _to_lanes(x: jax.Array, groups: int) -> jax.Array:
    """``[..., C]`` to ``[..., C // groups, groups]``."""
    return x.reshape(*x.shape[:-1], groups, -1).swapaxes(-1, -2)


def _from_lanes(x: jax.Array) -> jax.Array:
    return x.swapaxes(-1, -2).reshape(*x.shape[:-2], -1)


def _lanes(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    kh, kw = kernel.shape[:2]
    size = geometry.output_size(x, kernel)
    spread = _to_lanes(kernel, geometry.groups)  # [kh, kw, in, out, groups]
    x = _to_lanes(_pad(x, geometry.padding, geometry.dilation), geometry.groups)
    windows = _windows(x, (kh, kw), size, geometry.stride)
    accumulator = _accumulator(x.dtype)
    total = jnp.zeros((), accumulator)
    for place, part in enumerate(windows):
        for channel in range(spread.shape[2]):
            weights = spread[place // kw, place % kw, channel].astype(accumulator)
            total = total + part[:, :, :, channel, None].astype(accumulator) * weights
    return _from_lanes(total).astype(x.dtype)


def _lanes_kernel_gradient(x: jax.Array, dy: jax.Array, window: tuple[int, int], geometry: Geometry) -> jax.Array:
    accumulator = _accumulator(x.dtype)
    gradient = _to_lanes(dy, geometry.groups).astype(accumulator)[:, :, :, None]
    x = _to_lanes(_pad(x, geometry.padding, geometry.dilation), geometry.groups)
    windows = _windows(x, window, (dy.shape[1], dy.shape[2]), geometry.stride)
    sums = [(part.astype(accumulator)[:, :, :, :, None] * gradient).sum((0, 1, 2)) for part in windows]
    return _from_lanes(jnp.stack(sums).reshape(*window, *sums[0].shape)).astype(x.dtype)


# ---- oneDNN ----


def _onednn(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    _check_onednn(x)

    def call(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return _by_onednn(x, kernel, geometry, 1)

    return with_gradient_of(call, lambda x, kernel: _packed(x, kernel, geometry, 32))(x, kernel)


def _onednn_kernel_gradient(x: jax.Array, dy: jax.Array, window: tuple[int, int], geometry: Geometry) -> jax.Array:
    _check_onednn(x)

    def by_packing(x: jax.Array, dy: jax.Array) -> jax.Array:
        return _packed_kernel_gradient(x, dy, window, geometry, 32)

    def call(x: jax.Array, dy: jax.Array) -> jax.Array:
        # As in ``_packed_kernel_gradient``, but with the groups left to the library: the channels of a group are the
        # batch, and the batch the input channels of every group.
        groups = geometry.groups
        padding, size = _kernel_gradient_padding(x, dy, window, geometry), (*dy.shape[1:3], dy.shape[0], dy.shape[3])
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
    """``onednn.convolve``, which takes no dilated input, no negative padding and no array without values."""
    stride, padding, groups, dilation = geometry
    none = ((0, 0), (0, 0))
    if min(map(min, padding)) < 0:
        x, padding = _pad(x, padding, dilation), none
    elif dilation > 1:
        x = _pad(x, none, dilation)
    if x.size and kernel.size:
        return onednn.convolve(x, kernel, stride, padding, kernel_dilation, groups, kernel_axes=kernel_axes)
    size = [kernel.shape[kernel_axes.index(axis)] for axis in "HWIO"]
    return jnp.zeros(onednn.output_shape(x, size, stride, padding, kernel_dilation), x.dtype)


def with_gradient_of(fast: Callable[..., jax.Array], slow: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """``fast`` with the derivatives of ``slow``, which computes the same."""
    function = jax.custom_vjp(fast)
    function.defvjp(lambda *both: (fast(*both), both), lambda both, dy: jax.vjp(slow, *both)[1](dy))
    return function
