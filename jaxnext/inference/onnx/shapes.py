"""Operations that move values and compute nothing: most of them are no node, but another reading of the same array."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from jaxnext.inference.onnx.elementwise import Rule
from jaxnext.inference.onnx.graph import Dim, Graph, Value, image_axes


def reshape(graph: Graph, x: Value, *, shape: tuple[Dim, ...], **_: Any) -> Value:
    """Rule of ``reshape`` and ``squeeze``: axes that are cut or joined keep their place among the others."""
    if x.data is not None and not x.spread:
        return Value(shape, x.name, x.data.reshape(shape), tuple(range(len(shape))))
    x = graph.whole(x)
    parts = _parts(x.shape, shape)
    place = {axis: index for index, axis in enumerate(x.axes)}
    if not all(
        [place[a] for a in olds] == list(range(place[olds[0]], place[olds[0]] + len(olds))) for olds, _ in parts if olds
    ):
        x = graph.arranged(x, tuple(range(len(x.shape))))
        place = {axis: axis for axis in x.axes}
    order = [
        axis for olds, news in sorted((p for p in parts if p[0]), key=lambda part: place[part[0][0]]) for axis in news
    ]
    wanted = image_axes(len(shape))
    axes = wanted if [axis for axis in wanted if axis in order] == order else _inserted(order, len(shape))
    return Value(shape, _reshaped(graph, x, [shape[axis] for axis in axes]), axes=axes)


def _inserted(order: list[int], rank: int) -> tuple[int, ...]:
    """Return an order of all axes that has some in a given one, and each other one behind its neighbour on the left."""
    result = list(order)
    for axis in range(rank):
        if axis not in result:
            result.insert(result.index(axis - 1) + 1 if axis else 0, axis)
    return tuple(result)


def _parts(old: tuple[Dim, ...], new: tuple[Dim, ...]) -> list[tuple[list[int], list[int]]]:
    """Return which axes become which: the least runs of axes of both shapes that hold as many values.

    Axes of size 1 that come or go are a run of their own, with nothing on the other side.
    """
    parts, i, j = [], 0, 0
    while i < len(old) or j < len(new):
        if i < len(old) and j < len(new) and old[i] == new[j]:
            parts.append(([i], [j]))
            i, j = i + 1, j + 1
        elif i < len(old) and old[i] == 1:
            parts.append(([i], []))
            i += 1
        elif j < len(new) and new[j] == 1:
            parts.append(([], [j]))
            j += 1
        else:
            olds, news, left, right = [i], [j], old[i], new[j]
            i, j = i + 1, j + 1
            while left != right:
                numbers = isinstance(left, int) and isinstance(right, int)
                if j == len(new) or (i < len(old) and (not numbers or left < right)):
                    olds.append(i)
                    left, i = left * old[i], i + 1
                else:
                    news.append(j)
                    right, j = right * new[j], j + 1
            parts.append((olds, news))
    return parts


def _reshaped(graph: Graph, x: Value, sizes: list[Dim]) -> str:
    """Add the node that gives an array other sizes."""
    before = [x.shape[axis] for axis in x.axes]
    name = graph.name_of(x)
    if before == sizes:
        return name
    added = _ones_between(before, sizes)
    if added is not None:
        return graph.add("Unsqueeze", [name, graph.integers(*added)])
    dropped = _ones_between(sizes, before)
    if dropped is not None:
        return graph.add("Squeeze", [name, graph.integers(*dropped)])
    target = []
    for index, size in enumerate(sizes):
        if isinstance(size, int):
            target.append(size)
        elif index < len(before) and before[index] == size:
            target.append(0)  # as it is in the input
        elif -1 not in target:
            target.append(-1)
        else:
            target.append(graph.number(size))
    return graph.add("Reshape", [name, graph.integers(*target)])


def _ones_between(few: list[Dim], many: list[Dim]) -> list[int] | None:
    """Return the places in ``many`` of sizes 1 without which it is ``few``; ``None`` where it is not so."""
    places, rest = [], list(few)
    for place, size in enumerate(many):
        if rest and rest[0] == size:
            rest.pop(0)
        elif size == 1:
            places.append(place)
        else:
            return None
    return None if rest else places


def _broadcast(graph: Graph, x: Value, *more: Value, shape: tuple[Dim, ...], **parameters: Any) -> Value:
    del more  # sizes, where they depend on the number of images
    places = parameters["broadcast_dimensions"]
    thin = dataclasses.replace(x, shape=tuple(map(x.size, range(len(x.shape)))), spread=frozenset())
    real = tuple(thin.shape[places.index(axis)] if axis in places else 1 for axis in range(len(shape)))
    result = thin if real == thin.shape else reshape(graph, thin, shape=real)
    spread = frozenset(axis for axis, size in enumerate(shape) if size != 1 and real[axis] == 1)
    return dataclasses.replace(result, shape=shape, spread=spread)


def transpose(graph: Graph, x: Value, *, shape: tuple[Dim, ...], permutation: Sequence[int], **_: Any) -> Value:
    """Rule of ``transpose``, which is no node: the axes get other numbers."""
    del graph
    new = {old: axis for axis, old in enumerate(permutation)}
    spread = frozenset(new[axis] for axis in x.spread)
    if x.data is not None:
        return dataclasses.replace(x, shape=shape, data=x.data.transpose(permutation), spread=spread)
    return dataclasses.replace(x, shape=shape, axes=tuple(new[axis] for axis in x.axes), spread=spread)


def _joined(graph: Graph, *values: Value, shape: tuple[Dim, ...], dimension: int, **_: Any) -> Value:
    whole = [graph.whole(value) for value in values]
    computed = [value.axes for value in whole if value.data is None]
    axes = computed[0] if computed else image_axes(len(shape))
    names = [graph.name_of(graph.arranged(value, axes)) for value in whole]
    return Value(shape, graph.add("Concat", names, axis=axes.index(dimension)), axes=axes)


def _stack(graph: Graph, *values: Value, shape: tuple[Dim, ...], axis: int, **_: Any) -> Value:
    places = [place for place in range(len(shape)) if place != axis]
    thin = (*shape[:axis], 1, *shape[axis + 1 :])
    each = [_broadcast(graph, value, shape=thin, broadcast_dimensions=places) for value in values]
    return _joined(graph, *each, shape=shape, dimension=axis)


def _tile(graph: Graph, x: Value, *, shape: tuple[Dim, ...], reps: Sequence[int], **_: Any) -> Value:
    x = graph.whole(x)
    times = graph.integers(*(graph.number(reps[axis]) for axis in x.axes))
    return Value(shape, graph.add("Tile", [graph.name_of(x), times]), axes=x.axes)


RULES: Mapping[str, Rule] = {
    "reshape": reshape,
    "squeeze": reshape,
    "expand_dims": reshape,
    "broadcast_in_dim": _broadcast,
    "transpose": transpose,
    "concatenate": _joined,
    "stack": _stack,
    "tile": _tile,
}
"""By the name of JAX's primitive."""
