"""Sums, maxima and the like over axes, and pooling over windows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxnext.inference.onnx.elementwise import Rule
from jaxnext.inference.onnx.graph import Dim, Graph, Value, image_axes


def _reduced(op: str) -> Rule:
    def rule(graph: Graph, x: Value, *, shape: tuple[Dim, ...], axes: Sequence[int], **_: Any) -> Value:
        if not axes:
            return x
        x = graph.whole(x)
        sizes = [x.shape[axis] for axis in axes]
        count = int(np.prod(sizes)) if op == "ReduceSum" and all(isinstance(size, int) for size in sizes) else 0
        places = graph.integers(*sorted(x.axes.index(axis) for axis in axes))
        name = graph.add(op, [graph.name_of(x), places], count=count, keepdims=0)
        return Value(shape, name, axes=_left(x.axes, axes))

    return rule


def _left(axes: tuple[int, ...], gone: Sequence[int]) -> tuple[int, ...]:
    """Return the order of the axes that are left, by their new numbers."""
    new = {axis: number for number, axis in enumerate(sorted(set(axes) - set(gone)))}
    return tuple(new[axis] for axis in axes if axis in new)


def _place_of(op: str) -> Rule:
    def rule(
        graph: Graph, x: Value, *, shape: tuple[Dim, ...], dtype: np.dtype, axes: Sequence[int], **_: Any
    ) -> Value:
        from onnx import helper

        x = graph.whole(x)
        (axis,) = axes
        found = graph.add(op, [graph.name_of(x)], axis=x.axes.index(axis), keepdims=0)
        name = graph.add("Cast", [found], to=int(helper.np_dtype_to_tensor_dtype(dtype)))
        return Value(shape, name, axes=_left(x.axes, axes))

    return rule


def _cumsum(graph: Graph, x: Value, *, shape: tuple[Dim, ...], axis: int, reverse: bool, **_: Any) -> Value:
    x = graph.whole(x)
    place = graph.constant(np.array(x.axes.index(axis), np.int64))
    return Value(shape, graph.add("CumSum", [graph.name_of(x), place], reverse=int(reverse)), axes=x.axes)


def max_pool(graph: Graph, x: Value, *, shape: tuple[Dim, ...], size: int, stride: int, padding: int) -> Value:
    """Return the maxima of square windows of images ``[N, H, W, C]``."""
    x = graph.arranged(graph.whole(x), image_axes(4))
    attributes: dict[str, Any] = {"kernel_shape": [size] * 2, "strides": [stride] * 2, "pads": [padding] * 4}
    return Value(shape, graph.add("MaxPool", [graph.name_of(x)], **attributes), axes=x.axes)


def _windows(op: str) -> Rule:
    def rule(
        graph: Graph,
        x: Value,
        *,
        shape: tuple[Dim, ...],
        dtype: np.dtype,
        window_dimensions: Sequence[int],
        window_strides: Sequence[int],
        padding: Sequence[tuple[int, int]],
        base_dilation: Sequence[int],
        window_dilation: Sequence[int],
        **_: Any,
    ) -> Value:
        moving = [axis for axis in range(len(shape)) if window_dimensions[axis] > 1 or window_strides[axis] > 1]
        if len(shape) != 4 or not set(moving) <= {1, 2} or max(base_dilation) > 1:
            raise graph.refused("windows over other axes than height and width of images, or dilated images")
        x = graph.arranged(graph.whole(x), image_axes(4))
        attributes: dict[str, Any] = {
            "kernel_shape": list(window_dimensions[1:3]),
            "strides": list(window_strides[1:3]),
            "pads": [low for low, _ in padding[1:3]] + [high for _, high in padding[1:3]],
            "dilations": list(window_dilation[1:3]),
        }
        if op == "AveragePool":
            attributes["count_include_pad"] = 1
        name = graph.add(op, [graph.name_of(x)], **attributes)
        if op == "AveragePool":
            name = graph.add("Mul", [name, graph.constant(np.array(np.prod(window_dimensions), dtype))])
        return Value(shape, name, axes=x.axes)

    return rule


RULES: Mapping[str, Rule] = {
    "reduce_sum": _reduced("ReduceSum"),
    "reduce_max": _reduced("ReduceMax"),
    "reduce_min": _reduced("ReduceMin"),
    "reduce_prod": _reduced("ReduceProd"),
    "argmax": _place_of("ArgMax"),
    "argmin": _place_of("ArgMin"),
    "cumsum": _cumsum,
    "reduce_window_max": _windows("MaxPool"),
    "reduce_window_sum": _windows("AveragePool"),
}
"""By the name of JAX's primitive."""
