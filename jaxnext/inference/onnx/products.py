"""Convolutions and matrix products."""

import string
from collections.abc import Mapping, Sequence
from typing import Any

from jaxnext.inference.onnx.elementwise import Rule
from jaxnext.inference.onnx.graph import Dim, Graph, Value, image_axes


def _convolution(
    graph: Graph,
    x: Value,
    kernel: Value,
    *,
    shape: tuple[Dim, ...],
    window_strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int],
    rhs_dilation: Sequence[int],
    dimension_numbers: Any,
    feature_group_count: int,
    batch_group_count: int,
    **_: Any,
) -> Value:
    if set(lhs_dilation) - {1} or batch_group_count != 1:
        raise graph.refused("a transposed convolution")
    if min((width for side in padding for width in side), default=0) < 0:
        raise graph.refused("a convolution with negative padding")
    images, filters, results = dimension_numbers
    x, kernel = graph.arranged(graph.whole(x), tuple(images)), graph.arranged(graph.whole(kernel), tuple(filters))
    attributes: dict[str, Any] = {
        "kernel_shape": [kernel.shape[axis] for axis in filters[2:]],
        "strides": list(window_strides),
        "pads": [low for low, _ in padding] + [high for _, high in padding],
    }
    if set(rhs_dilation) - {1}:
        attributes["dilations"] = list(rhs_dilation)
    if feature_group_count > 1:
        attributes["group"] = feature_group_count
    name = graph.add("Conv", [graph.name_of(x), graph.name_of(kernel)], **attributes)
    return Value(shape, name, axes=tuple(results))


def _product(graph: Graph, x: Value, y: Value, *, shape: tuple[Dim, ...], dimension_numbers: Any, **_: Any) -> Value:
    (left, right), (left_batch, right_batch) = dimension_numbers
    x, y = graph.whole(x), graph.whole(y)
    last, plain = len(x.shape) - 1, not left_batch and tuple(left) == (len(x.shape) - 1,) and tuple(right) == (0,)
    if plain and len(y.shape) == 2:
        if last == 1:
            names = [graph.name_of(graph.arranged(value, (0, 1))) for value in (x, y)]
            return Value(shape, graph.add("Gemm" if y.data is not None else "MatMul", names), axes=(0, 1))
        if last == 3 and y.data is not None:
            kernel = Value((1, 1, *y.shape), y.name, y.data[None, None], (3, 2, 0, 1))
            x = graph.arranged(x, image_axes(4))
            name = graph.add("Conv", [graph.name_of(x), graph.name_of(kernel)], kernel_shape=[1, 1], strides=[1, 1])
            return Value(shape, name, axes=x.axes)
    letters = iter(string.ascii_lowercase)
    of_x = {axis: next(letters) for axis in range(len(x.shape))}
    shared = dict(zip((*right_batch, *right), (of_x[axis] for axis in (*left_batch, *left)), strict=True))
    of_y = {axis: shared.get(axis) or next(letters) for axis in range(len(y.shape))}
    result = "".join(
        [of_x[axis] for axis in left_batch]
        + [of_x[axis] for axis in of_x if axis not in (*left, *left_batch)]
        + [of_y[axis] for axis in of_y if axis not in (*right, *right_batch)]
    )
    sides = ",".join("".join(of[axis] for axis in value.axes) for of, value in ((of_x, x), (of_y, y)))
    name = graph.add("Einsum", [graph.name_of(x), graph.name_of(y)], equation=f"{sides}->{result}")
    return Value(shape, name, axes=tuple(range(len(shape))))


RULES: Mapping[str, Rule] = {"conv_general_dilated": _convolution, "dot_general": _product}
"""By the name of JAX's primitive."""
