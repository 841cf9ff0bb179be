"""What the text of a compiled program says: kernels, the bytes between them, estimated cycles, collectives."""

import collections
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

WIDTHS = {
    **{"f64": 8, "s64": 8, "u64": 8, "c64": 8, "f32": 4, "s32": 4, "u32": 4},
    **{"bf16": 2, "f16": 2, "s16": 2, "u16": 2, "s8": 1, "u8": 1, "pred": 1},
}
"""Bytes of an element."""
COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "reduce-scatter", "collective-permute")
_NO_KERNEL = ("parameter", "tuple", "get-tuple-element", "bitcast", "constant", "partition-id", "after-all")
_NO_KERNEL += ("ConcatBitcast",)
_ASYNC_COPIES = ("copy-start", "slice-start")
_SHAPE = re.compile(r"\b([a-z]+\d*)\[([\d,]*)\](\{[^}]*\})?")
_INSTRUCTION = re.compile(r"\s*(?:ROOT )?%?([\w.\-]+) = (.*?) ([\w\-]+)\((.*)")


class Kernel(NamedTuple):
    """An instruction of the entry computation that runs something."""

    name: str
    kind: str
    """operation, target of a call, or kind of a fusion"""
    bytes: int
    """of operands and results: what it reads and writes where nothing stays in a cache; not a library's work space, nor
    what a TPU's compiler has placed in the chip's own memory, to and from which a copy counts once"""
    cycles: int
    """estimated; 0 where the compiler says nothing"""
    source: str
    """the operation in the traced program"""


def bytes_of(shape: str, without: str | None = None, on_chip: bool = True) -> int:
    """Return the bytes of a shape as HLO writes it, ``f32[8,16]{1,0}`` or a tuple of such.

    Args:
        shape: of an instruction.
        without: a type that does not count.
        on_chip: whether that counts which lies in another memory than the device's main one, ``S(1)``.
    """
    total = 0
    for kind, dims, layout in _SHAPE.findall(shape):
        counts = kind != without and (on_chip or re.search(r"S\([1-9]", layout) is None)
        size = WIDTHS.get(kind, 0) if counts else 0
        for value in dims.split(","):
            size *= int(value) if value else 1
        total += size
    return total


def kernels(text: str) -> list[Kernel]:
    """Return what the entry computation of a compiled program runs, in its order.

    Args:
        text: of the program, as ``compiled.as_text()`` gives it.
    """
    entry, sizes, found = text[text.index("\nENTRY") :], {}, []
    for line in entry.splitlines():
        match = _INSTRUCTION.match(line)
        if match is None:
            continue
        name, shape, operation, rest = match.groups()
        # cuBLAS and cuDNN are lent memory as one more result, of bytes: it is not read or written as a whole.
        space = "s8" if operation == "custom-call" and shape.startswith("(") else None
        sizes[name] = bytes_of(shape, without=space, on_chip=False)
        kind = _kind(operation, name, line)
        if operation.endswith("-done") or operation in _NO_KERNEL or kind in _NO_KERNEL:
            continue
        if operation in _ASYNC_COPIES:
            # Their result is a tuple of both ends, of a slice the whole that it is taken from first.
            moved = bytes_of(list(_SHAPE.finditer(shape))[1][0])
        else:
            operands = re.findall(r"%([\w.\-]+)", rest.partition("), ")[0])
            moved = sizes[name] + sum(sizes.get(operand, 0) for operand in operands)
        cycles = re.search(r'"estimated_cycles":"(\d+)"', line)
        source = re.search(r'op_name="([^"]*)"', line)
        found.append(Kernel(name, kind, moved, int(cycles[1]) if cycles else 0, source[1] if source else ""))
    return found


def _kind(operation: str, name: str, line: str) -> str:
    if operation == "custom-call" and (target := re.search(r'custom_call_target="([^"]+)"', line)):
        return target[1]
    return f"fusion {re.sub(r'[.0-9]+$', '', name)}" if operation == "fusion" else operation


def collectives(text: str) -> dict[str, dict[str, int]]:
    """Return count and bytes of each kind of collective operation in a program; kinds that it has not are missing."""
    counts: collections.Counter[str] = collections.Counter()
    sizes: collections.Counter[str] = collections.Counter()
    pattern = rf" = (.*?) ({'|'.join(COLLECTIVES)})(-start)?\("
    for line in text.splitlines():
        if match := re.search(pattern, line):
            shape, kind, start = match.groups()
            counts[kind] += 1
            # Where it is only started, operand and result are one tuple.
            sizes[kind] += bytes_of(shape) // (2 if start and kind != "all-reduce" else 1)
    return {kind: {"count": counts[kind], "bytes": sizes[kind]} for kind in counts}


def part_of(source: str) -> str:
    """Return the part of a net in whose name an operation was traced: ``stem``, ``stage2``, ``attention``, ``head``.

    What belongs to none, the optimizer's update and the augmentation, is ``rest``.
    """
    match = re.search(r"/(stem|stage\d|attention|head)(?:_\w+)?/", source)
    return match[1] if match else "rest"


def summed(found: Sequence[Kernel], key: Callable[[Kernel], str], most: int | None = None) -> dict[str, dict[str, int]]:
    """Return kernels, bytes and cycles of each value of ``key``, the most expensive first, at most so many."""
    sums: dict[str, dict[str, int]] = {}
    for kernel in found:
        record = sums.setdefault(key(kernel), {"kernels": 0, "bytes": 0, "cycles": 0})
        record["kernels"] += 1
        record["bytes"] += kernel.bytes
        record["cycles"] += kernel.cycles
    order = sorted(sums, key=lambda name: (sums[name]["cycles"], sums[name]["bytes"]), reverse=True)
    return {name: sums[name] for name in order[:most]}
