"""A graph under construction: nodes with one output each, constants, and arrays of which it is known how they lie."""

import dataclasses
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxnext.errors import JaxnextError

Dim = Any
"""Size of an axis: an int, or the symbol that stands for the number of images."""


def image_axes(rank: int) -> tuple[int, ...]:
    """Return the order in which arrays of a rank are laid out: of images with the channels, JAX's last axis, second.

    Arrays of other ranks than those of images ``[N, H, W, C]`` keep their order.
    """
    return (0, 3, 1, 2) if rank == 4 else tuple(range(rank))


@dataclasses.dataclass(frozen=True, eq=False)
class Value:
    """An array of the traced program: a constant, or the output of a node."""

    shape: tuple[Dim, ...]
    """as JAX has it"""
    name: str = ""
    """of the node's output; of a constant a hint of what it is"""
    data: np.ndarray | None = None
    """a constant's numbers, with JAX's order of axes; ``None``: computed by a node"""
    axes: tuple[int, ...] = ()
    """JAX's axes in the order in which ONNX has them; a constant's stand as in JAX"""
    spread: frozenset[int] = frozenset()
    """axes of JAX that have size 1 as yet: whoever reads it stretches them"""

    def size(self, axis: int) -> Dim:
        """Return the size that an axis of JAX really has."""
        return 1 if axis in self.spread else self.shape[axis]


@dataclasses.dataclass
class Node:
    """One operation."""

    op: str
    inputs: list[str]
    output: str
    attributes: dict[str, Any]
    scope: str
    """the module that it is of"""
    count: int = 0
    """of a sum: how many values each of its results adds"""


class Graph:
    """Nodes in the order in which they are computed, and constants by name.

    Attributes:
        nodes: each reads what is before it.
        constants: numbers by name.
        hints: what constants are to be called, where nothing else is.
        scope: module of what is being translated.
    """

    def __init__(self, inputs: Sequence[str]) -> None:
        """Begin a graph; the first axis of the first of its inputs counts the images."""
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        self.hints: dict[str, str] = {}
        self.scope = ""
        self._inputs = tuple(inputs)
        self._taken = set(inputs)
        self._known: dict[tuple[Any, ...], str] = {}

    def add(self, op: str, inputs: Sequence[str], count: int = 0, **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        output = self.fresh(self.within(op))
        self.nodes.append(Node(op, list(inputs), output, attributes, self.scope, count))
        return output

    def constant(self, data: np.ndarray, hint: str = "") -> str:
        """Return the name of a constant; equal ones are one."""
        data = np.ascontiguousarray(data) if data.ndim else data
        key = (data.shape, data.dtype.str, data.tobytes())
        if key not in self._known:
            self._known[key] = self.fresh(hint or self.within("constant"))
            self.hints[self._known[key]] = hint or self.within("constant")
        self.constants[self._known[key]] = data
        return self._known[key]

    def integers(self, *numbers: int) -> str:
        """Return the name of a constant vector, as axes and shapes are given."""
        return self.constant(np.array(numbers, np.int64))

    def within(self, name: str) -> str:
        """Return a name with that of the module before it."""
        return f"{self.scope}/{name}" if self.scope else name

    def fresh(self, name: str) -> str:
        """Return a name that nothing has yet."""
        number, result = 1, name
        while result in self._taken:
            number += 1
            result = f"{name}_{number}"
        self._taken.add(result)
        return result

    def name_of(self, value: Value) -> str:
        """Return the name by which a node reads a value, which for a constant is then made."""
        if value.data is None:
            return value.name
        data = value.data.transpose(value.axes) if value.data.ndim else value.data
        return self.constant(data, value.name)

    def arranged(self, value: Value, axes: tuple[int, ...]) -> Value:
        """Return a value whose axes lie in an order; a node transposes it where they do not."""
        if value.axes == axes:
            return value
        if value.data is not None:
            return dataclasses.replace(value, axes=axes)
        order = [value.axes.index(axis) for axis in axes]
        return dataclasses.replace(value, name=self.add("Transpose", [value.name], perm=order), axes=axes)

    def whole(self, value: Value) -> Value:
        """Return a value whose axes have their sizes; a node stretches those that do not."""
        if not value.spread:
            return value
        if value.data is not None and all(isinstance(size, int) for size in value.shape):
            return dataclasses.replace(value, data=np.broadcast_to(value.data, value.shape), spread=frozenset())
        name = self.constant(value.data.transpose(value.axes)) if value.data is not None else value.name
        sizes = [value.shape[axis] if axis in value.spread else 1 for axis in value.axes]
        if all(isinstance(size, int) for size in sizes):
            shape = self.integers(*sizes)
        else:
            parts = [self.integers(size) if isinstance(size, int) else self.images(size) for size in sizes]
            shape = self.add("Concat", parts, axis=0)
        return Value(value.shape, self.add("Expand", [name, shape]), axes=value.axes)

    def images(self, size: Dim) -> str:
        """Return the name of a vector with the number of images; refuse a size that is computed from it."""
        if str(size) != BATCH:
            self.number(size)
        return self.add("Shape", self._inputs[:1], start=0, end=1)

    def number(self, size: Dim) -> int:
        """Return a size that does not depend on the number of images; refuse one that does."""
        try:
            return operator.index(size)
        except Exception as error:
            raise self.refused(f"the size {size}") from error

    def refused(self, what: str) -> JaxnextError:
        """Return the error that says what has no translation, and where in the net it is."""
        place = self.scope or "the net"
        return JaxnextError(f"{place}: expected operations that can be written in ONNX, found {what}")


BATCH = "batch"
"""The symbol for the number of images, and the name of that axis in the file."""
