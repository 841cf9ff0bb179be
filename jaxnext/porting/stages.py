"""Stages that are longer or shorter than a net's, said in one line each instead of one for every tensor."""

import re
from collections.abc import Iterable

_BLOCK = re.compile(r"(layer[0-9]+)\.([0-9]+)\.")


def stage_lengths(expected: Iterable[str], found: Iterable[str]) -> tuple[list[str], set[str]]:
    """Compare the numbers of blocks in each stage.

    Args:
        expected: a net's names.
        found: a source's names.

    Returns:
        A line for each stage of another length, and the names in the blocks that only one of the two has.
    """
    wanted, there = _blocks(expected), _blocks(found)
    lines, covered = [], set()
    for stage in dict.fromkeys([*wanted, *there]):
        ours, theirs = wanted.get(stage, {}), there.get(stage, {})
        alone = [
            name for a, b in ((ours, theirs), (theirs, ours)) for block in a if block not in b for name in a[block]
        ]
        if alone:
            lines.append(f"{stage}: expected {len(ours)} blocks, found {len(theirs)} ({len(alone):,} tensors)")
            covered |= set(alone)
    return lines, covered


def summed_up(names: list[str], lines: dict[str, str], most: int = 20) -> list[str]:
    """Return the lines of names, and of the members of a family beyond ``most`` their number.

    Args:
        names: in their order.
        lines: what is said of each.
        most: members of a family, that is names with the same beginning, that have a line of their own.
    """
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(name.partition(".")[0], []).append(name)
    result = []
    for family, members in families.items():
        result += [lines[name] for name in members[:most]]
        if len(members) > most:
            result.append(f"{family}: {len(members) - most:,} tensors more, likewise")
    return result


def _blocks(names: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """Return the names of each block of each stage."""
    blocks: dict[str, dict[str, list[str]]] = {}
    for name in names:
        if match := _BLOCK.match(name):
            blocks.setdefault(match[1], {}).setdefault(match[2], []).append(name)
    return blocks
