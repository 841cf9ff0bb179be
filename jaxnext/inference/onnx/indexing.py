"""Parts of arrays, by slices and by indexing, and arrays with a margin."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxnext.inference.onnx.elementwise import Rule
from jaxnext.inference.onnx.graph import Dim, Graph, Value
from jaxnext.inference.onnx.shapes import reshape, transpose

END = np.iinfo(np.int64).max
"""End of a slice that goes on to the last."""


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
        end = END if limit_indices[axis] == x.shape[axis] else graph.number(limit_indices[axis])
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
    return _cut(graph, x, shape, [(axis, -1, -END, -1) for axis in dimensions if axis not in x.spread])


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
    cuts = []
    for axis, start in enumerate(starts):
        if slice_sizes[axis] != x.shape[axis]:
            # As JAX moves what would be outside.
            first = max(0, min(_fixed(graph, start).item(), x.shape[axis] - slice_sizes[axis]))
            cuts.append((axis, first, first + slice_sizes[axis], 1))
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
    mode: Any,
    **_: Any,
) -> Value:
    """Rule of what indexing becomes, where it takes places along each axis for itself.

    Which they are is seen in what it makes of arrays that hold, at each place, its number along one axis.
    """
    index = _fixed(graph, places)
    known = [size if isinstance(size, int) else 1 for size in x.shape]
    sizes = [size if isinstance(size, int) else 1 for size in slice_sizes]
    kept: dict[int, int] = {}
    taken = {}
    for axis, size in enumerate(x.shape):
        if not isinstance(size, int):
            kept[axis] = shape.index(size)
            continue
        numbers = np.broadcast_to(np.arange(size).reshape([-1 if axis == i else 1 for i in range(len(known))]), known)
        found = np.asarray(jax.lax.gather(numbers, index, dimension_numbers, sizes, mode=mode))
        moving = [i for i in range(found.ndim) if (np.take(found, [0], i) != found).any()]
        if len(moving) > 1 or set(moving) & set(kept.values()):
            raise graph.refused("indexing by several lists of places")
        kept |= dict.fromkeys([axis] if moving else [], *moving)
        taken[axis] = found[tuple(slice(None) if i in moving else 0 for i in range(found.ndim))].reshape(-1).tolist()
    x = graph.whole(x)
    for axis, line in taken.items():
        x = _taken(graph, x, axis, line)
    order = np.argsort(list(kept.values())).tolist()
    if order == list(range(len(order))):
        return reshape(graph, x, shape=shape)
    x = reshape(graph, x, shape=tuple(x.shape[axis] for axis in kept))
    return reshape(graph, transpose(graph, x, shape=tuple(x.shape[i] for i in order), permutation=order), shape=shape)


def _taken(graph: Graph, x: Value, axis: int, places: list[int]) -> Value:
    size, shape = x.shape[axis], (*x.shape[:axis], len(places), *x.shape[axis + 1 :])
    if places == list(range(size)):
        return x
    if min(places) < 0 or max(places) >= size:
        raise graph.refused(f"places outside of the {size} there are")
    step = places[1] - places[0] if len(places) > 1 else 1
    if step > 0 and places == list(range(places[0], places[-1] + 1, step)):
        end = END if places[-1] + step >= size else places[-1] + 1
        return _cut(graph, x, shape, [(axis, places[0], end, step)])
    inputs = [graph.name_of(x), graph.integers(*places)]
    return Value(shape, graph.add("Gather", inputs, axis=x.axes.index(axis)), axes=x.axes)


RULES: Mapping[str, Rule] = {
    "slice": _slice,
    "dynamic_slice": _dynamic_slice,
    "gather": _gather,
    "rev": _reverse,
    "pad": _pad,
}
"""By the name of JAX's primitive."""

SEVERAL = {"split": _split}
"""Those with several results."""
