"""Operations that move values and compute nothing: most of them are no node, but another reading of the same array."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxnext.inference.onnx.elementwise import Rule
from jaxnext.inference.onnx.graph import Dim, Graph, Value, image_axes

_END = np.iinfo(np.int64).max


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


def _transpose(graph: Graph, x: Value, *, shape: tuple[Dim, ...], permutation: Sequence[int], **_: Any) -> Value:
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


def _slice(
    graph: Graph,
    x: Value,
    *,
    shape: tuple[Dim, ...],
    start_indices: Sequence[Any],
    limit_indices: Sequence[Any],
    strides: Sequence[int] | None,
    **_: Any,
) -> Value:
    steps = strides or (1,) * len(shape)
    cut = [
        axis
        for axis, size in enumerate(x.shape)
        if axis not in x.spread and (start_indices[axis] != 0 or limit_indices[axis] != size or steps[axis] != 1)
    ]
    cuts = []
    for axis in cut:
        end = _END if limit_indices[axis] == x.shape[axis] else graph.number(limit_indices[axis])
        cuts.append((axis, graph.number(start_indices[axis]), end, steps[axis]))
    return _cut(graph, x, shape, cuts)


def _cut(graph: Graph, x: Value, shape: tuple[Dim, ...], cuts: list[tuple[int, Any, Any, int]]) -> Value:
    """Return a part of an array: of some axes, by JAX's numbers, start, end and step."""
    if not cuts:
        return dataclasses.replace(x, shape=shape)
    places, starts, ends, steps = zip(*cuts, strict=True)
    inputs = [graph.integers(*numbers) for numbers in (starts, ends, [x.axes.index(place) for place in places], steps)]
    return Value(shape, graph.add("Slice", [graph.name_of(x), *inputs]), axes=x.axes, spread=x.spread)


def _split(
    graph: Graph, x: Value, *, shapes: Sequence[tuple[Dim, ...]], sizes: Sequence[int], axis: int, **_: Any
) -> list[Value]:
    ends = np.cumsum(sizes).tolist()
    return [
        _cut(graph, x, shape, [] if axis in x.spread else [(axis, end - size, end, 1)])
        for shape, size, end in zip(shapes, sizes, ends, strict=True)
    ]


def _reverse(graph: Graph, x: Value, *, shape: tuple[Dim, ...], dimensions: Sequence[int], **_: Any) -> Value:
    return _cut(graph, x, shape, [(axis, -1, -_END, -1) for axis in dimensions if axis not in x.spread])


def _pad(
    graph: Graph, x: Value, filler: Value, *, shape: tuple[Dim, ...], padding_config: Sequence[Any], **_: Any
) -> Value:
    x = graph.whole(x)
    by_axis = [tuple(map(int, padding_config[axis])) for axis in x.axes]
    if all(low == high == inner == 0 for low, high, inner in by_axis):
        return dataclasses.replace(x, shape=shape)
    if any(inner for _, _, inner in by_axis):
        raise graph.refused("padding between values")
    widths = [low for low, _, _ in by_axis] + [high for _, high, _ in by_axis]
    inputs = [graph.name_of(x), graph.integers(*widths), graph.name_of(filler)]
    return Value(shape, graph.add("Pad", inputs), axes=x.axes)


def _dynamic_slice(
    graph: Graph, x: Value, *starts: Value, shape: tuple[Dim, ...], slice_sizes: Sequence[Dim], **_: Any
) -> Value:
    numbers = [_fixed(graph, start) for start in starts]
    return _part(graph, x, shape, {axis: number.item() for axis, number in enumerate(numbers)}, slice_sizes)


def _part(graph: Graph, x: Value, shape: tuple[Dim, ...], starts: Mapping[int, int], sizes: Sequence[Dim]) -> Value:
    """Return a box of an array, from ``starts`` on, where it begins behind the first or ends before the last."""
    cuts = []
    for axis, start in starts.items():
        if sizes[axis] != x.shape[axis]:
            first = max(0, min(start, x.shape[axis] - sizes[axis]))  # as JAX moves what would be outside
            cuts.append((axis, first, first + sizes[axis], 1))
    return _cut(graph, graph.whole(x), shape, cuts)


def _fixed(graph: Graph, place: Value) -> np.ndarray:
    if place.data is None:
        raise graph.refused("places that depend on the images")
    return place.data


def _gather(
    graph: Graph,
    x: Value,
    places: Value,
    *,
    shape: tuple[Dim, ...],
    dimension_numbers: Any,
    slice_sizes: Sequence[Dim],
    **_: Any,
) -> Value:
    """Rule of what indexing becomes: a box of the array, and places along some of its axes, each for itself."""
    numbers, index = dimension_numbers, _fixed(graph, places)
    chosen: dict[int, list[int]] = {}
    by_direction = []  # which axis each of the index's own axes runs along
    for direction in range(index.ndim - 1):
        line = np.moveaxis(index, direction, 0)[:, *[0] * (index.ndim - 2)]
        moving = [axis for axis, each in zip(numbers.start_index_map, line.T, strict=True) if np.unique(each).size > 1]
        moving = moving or [axis for axis in numbers.collapsed_slice_dims if axis not in chosen][:1]
        if len(moving) != 1 or moving[0] in chosen or moving[0] not in numbers.collapsed_slice_dims:
            raise graph.refused("indexing by several lists of places")
        chosen[moving[0]] = line[:, numbers.start_index_map.index(moving[0])].tolist()
        by_direction.append(moving[0])
    grid = [
        np.array(chosen.get(axis, index.reshape(-1, index.shape[-1])[0, number]))
        for number, axis in enumerate(numbers.start_index_map)
    ]
    shaped = [
        each.reshape([-1 if axis == other else 1 for other in by_direction])
        for axis, each in zip(numbers.start_index_map, grid, strict=True)
    ]
    if (
        numbers.operand_batching_dims
        or not (np.stack(np.broadcast_arrays(*shaped), -1).reshape(index.shape) == index).all()
    ):
        raise graph.refused("indexing by several lists of places")
    starts = {axis: each.item() for axis, each in zip(numbers.start_index_map, grid, strict=True) if axis not in chosen}
    box = tuple(x.shape[axis] if axis in chosen else size for axis, size in enumerate(slice_sizes))
    x = _part(graph, x, box, starts, box)
    for axis, each in chosen.items():
        x = _taken(graph, x, axis, each)
    gone = [axis for axis in numbers.collapsed_slice_dims if axis not in chosen]
    left = [axis for axis in range(len(x.shape)) if axis not in gone]
    x = reshape(graph, x, shape=tuple(x.shape[axis] for axis in left))
    directions, others = iter(by_direction), iter([axis for axis in left if axis not in chosen])
    order = [next(others if place in numbers.offset_dims else directions) for place in range(len(shape))]
    return _transpose(graph, x, shape=shape, permutation=[left.index(axis) for axis in order])


def _taken(graph: Graph, x: Value, axis: int, places: list[int]) -> Value:
    size, shape = x.shape[axis], (*x.shape[:axis], len(places), *x.shape[axis + 1 :])
    if min(places) < 0 or max(places) >= size:
        raise graph.refused(f"places outside of the {size} there are")
    step = places[1] - places[0] if len(places) > 1 else 1
    if step > 0 and places == list(range(places[0], places[-1] + 1, step)):
        end = _END if places[-1] + step >= size else places[-1] + 1
        return _cut(graph, x, shape, [(axis, places[0], end, step)])
    inputs = [graph.name_of(x), graph.integers(*places)]
    return Value(shape, graph.add("Gather", inputs, axis=x.axes.index(axis)), axes=x.axes)


def _tile(graph: Graph, x: Value, *, shape: tuple[Dim, ...], reps: Sequence[int], **_: Any) -> Value:
    x = graph.whole(x)
    times = graph.integers(*(graph.number(reps[axis]) for axis in x.axes))
    return Value(shape, graph.add("Tile", [graph.name_of(x), times]), axes=x.axes)


RULES: Mapping[str, Rule] = {
    "dynamic_slice": _dynamic_slice,
    "gather": _gather,
    "tile": _tile,
    "reshape": reshape,
    "squeeze": reshape,
    "expand_dims": reshape,
    "broadcast_in_dim": _broadcast,
    "transpose": _transpose,
    "concatenate": _joined,
    "stack": _stack,
    "slice": _slice,
    "rev": _reverse,
    "pad": _pad,
}
"""By the name of JAX's primitive."""

SEVERAL = {"split": _split}
"""Those with several results."""
