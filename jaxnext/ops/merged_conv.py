"""A grouped convolution as one of fewer and larger groups, for XLA to convolve: neighbouring groups become one.

As ``packed_conv`` does, but without taking input and output apart. On TPUs, whose matrix unit multiplies by 128
channels, one convolution of such groups takes less than as many dense ones, and is compiled in an eighth of the time.
"""

import jax
import jax.numpy as jnp

from .packed_conv import Geometry, blocks_of, native, native_kernel_gradient


def merged(x: jax.Array, kernel: jax.Array, geometry: Geometry, channels: int) -> jax.Array:
    """Convolve groups of about ``channels`` input channels; else as ``grouped_formulations.Parts.forward``."""
    blocks, in_block = blocks_of(geometry.groups, kernel.shape[2], channels)
    return native(x, merged_kernel(kernel, blocks, in_block), geometry._replace(groups=blocks))


def merged_kernel_gradient(
    x: jax.Array, dy: jax.Array, window: tuple[int, int], geometry: Geometry, channels: int
) -> jax.Array:
    """Return the kernel's gradient, computed in the groups of ``merged``."""
    blocks, in_block = blocks_of(geometry.groups, x.shape[-1] // geometry.groups, channels)
    return own_groups(native_kernel_gradient(x, dy, window, geometry._replace(groups=blocks)), blocks, in_block)


def merged_kernel(kernel: jax.Array, blocks: int, in_block: int) -> jax.Array:
    """Return the kernel of the merged groups: zero wherever input and output are of different groups.

    Args:
        kernel: ``[kh, kw, C // (blocks * in_block), F]``.
        blocks: merged groups.
        in_block: groups in each.

    Returns:
        ``[kh, kw, C // blocks, F]`` of the same dtype.
    """
    # Repeated and masked as it lies: with the channels taken apart by groups XLA would write arrays whose last axis
    # fills a part of a TPU's 128 lanes.
    kh, kw, per_group, features = kernel.shape
    repeated = jnp.broadcast_to(kernel[:, :, None], (kh, kw, in_block, per_group, features))
    dense = repeated.reshape(kh, kw, in_block * per_group, features)
    return jnp.where(_same_group(dense.shape, blocks, in_block), dense, 0)


def own_groups(merged: jax.Array, blocks: int, in_block: int) -> jax.Array:
    """Return the grouped kernel within a merged one: the inverse of ``merged_kernel``."""
    kh, kw, channels, features = merged.shape
    own = jnp.where(_same_group(merged.shape, blocks, in_block), merged, 0)
    return own.reshape(kh, kw, in_block, channels // in_block, features).sum(2)


def _same_group(shape: tuple[int, ...], blocks: int, in_block: int) -> jax.Array:
    """Return where input and output of a merged kernel are of one group, ``[1, 1, C // blocks, F]`` of bool."""
    channels, features = shape[2:]
    input_group = jnp.arange(channels) // (channels // in_block)
    output_group = jnp.arange(features) // (features // (blocks * in_block)) % in_block
    return (input_group[:, None] == output_group[None, :])[None, None]
