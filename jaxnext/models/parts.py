"""The parts of a network by name: ``stem``, ``stage2`` and so on, ``attention``, ``head``.

These are the names that the table of parameters has, and that settings about some of the layers are given by.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from jaxnext.errors import UsageError
from jaxnext.tree import flatten
from jaxnext.types import LeafPath


def part_of(path: LeafPath) -> str:
    """Return the part that a leaf belongs to: every leaf has exactly one.

    Args:
        path: below its collection: ``("backbone", "stage2_block1", "conv1", "kernel")`` is of ``stage2``.
    """
    return path[0] if path[0] != "backbone" else path[1].split("_")[0]


def part_names(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the parts of a network that have parameters, in the order in which an image goes through them.

    Args:
        params: the ``params`` collection, arrays or shapes.
    """
    found = {part_of(path) for path in flatten(params)}

    def place(part: str) -> tuple[bool, bool, bool, int, str]:
        # By length first: stage10 comes after stage9.
        return part == "head", part == "attention", part != "stem", len(part), part

    return tuple(sorted(found, key=place))


def check_part_names(key: str, names: Iterable[str], params: Mapping[str, Any]) -> None:
    """Refuse names that no part of the network has.

    Args:
        key: dotted key of the setting that has the names.
        names: of parts.
        params: the ``params`` collection, arrays or shapes.

    Raises:
        UsageError: for the first of them.
    """
    known = part_names(params)
    for name in names:
        if name not in known:
            raise UsageError(f"{key}: expected parts of this network ({', '.join(known)}), found {name!r}")
