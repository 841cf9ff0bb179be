"""Sums over the devices of a mesh axis."""

from typing import TypeVar

from jax import lax

Tree = TypeVar("Tree")


def psum(tree: Tree, axis_name: str | None) -> Tree:
    """Sum as ``lax.psum`` does, but do nothing over one device, where XLA would copy every array.

    Args:
        tree: arrays, those of this device.
        axis_name: of the mesh axis; ``None``: there is none.
    """
    if axis_name is None or lax.axis_size(axis_name) == 1:
        return tree
    return lax.psum(tree, axis_name)


def psum_always(tree: Tree, axis_name: str | None) -> Tree:
    """Sum as ``psum`` does, over one device, too: it keeps XLA from merging what remat computes again."""
    return tree if axis_name is None else lax.psum(tree, axis_name)
