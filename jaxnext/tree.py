"""Nested dicts as flat ones: the leaves of a model by path."""

from collections.abc import Mapping
from typing import Any

from jaxnext.types import LeafPath

PARTS = ("backbone", "attention", "head")
"""The parts of a network: the second name of each leaf's path."""


def flatten(nested: Mapping[str, Any], prefix: LeafPath = ()) -> dict[LeafPath, Any]:
    """Return leaves of a nested dict by path, in the dict's order. An empty dict inside has no leaf and disappears."""
    flat: dict[LeafPath, Any] = {}
    for name, value in nested.items():
        path = (*prefix, name)
        if isinstance(value, Mapping):
            flat.update(flatten(value, path))
        else:
            flat[path] = value
    return flat


def unflatten(flat: Mapping[LeafPath, Any]) -> dict[str, Any]:
    """Return the nested dict of leaves given by path.

    Raises:
        ValueError: where one path is the beginning of another.
    """
    nested: dict[str, Any] = {}
    for path, value in flat.items():
        node = nested
        for name in path[:-1]:
            node = node.setdefault(name, {})
            if not isinstance(node, dict):
                raise ValueError(f"{path_name(path)}: a leaf stands where a dict was expected")
        if path[-1] in node:
            raise ValueError(f"{path_name(path)}: stands twice")
        node[path[-1]] = value
    return nested


def differences(expected: Mapping[LeafPath, Any], found: Mapping[LeafPath, Any]) -> list[str]:
    """Return a line for each leaf whose shape differs or that only one of two flat trees has, by path.

    Args:
        expected: leaves with a ``shape``.
        found: the same.
    """
    lines = []
    for path in sorted(expected.keys() | found.keys()):
        wanted, there = (list(tree[path].shape) if path in tree else "no such leaf" for tree in (expected, found))
        if wanted != there:
            lines.append(f"{path_name(path)}: expected {wanted}, found {there}")
    return lines


def path_name(path: LeafPath) -> str:
    """Return the path as messages write it: ``params/head/output/kernel``."""
    return "/".join(path)
