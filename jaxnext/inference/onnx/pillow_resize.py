"""Resizing within the graph, with the weights that Pillow's antialiased bilinear filter gives.

ONNX's own ``Resize`` rounds once where Pillow does so after each axis, which changes an eighth of all bytes by one, and
onnxruntime's is off by up to 14 at the edges. As each axis is a product with a matrix, any runtime computes it.

In float64 every product and sum is exact, and so are the bytes. But Pillow 13 begins with the height where it shrinks
much more than the width (a photograph of 400x711 to 224x224), earlier versions never do: of such images a seventh of
the bytes is off by one, as between those versions. A photograph of 533x400 takes 17 ms to 224x224 on one core.
"""

import numpy as np

from jaxnext.inference.onnx.graph import Graph

FLOAT64 = 11
"""ONNX's number for the dtype."""
_DIGITS = 22
"""Binary digits of Pillow's weights behind the point."""


def resized(graph: Graph, images: str, size: tuple[int, int]) -> str:
    """Add what resizes images, first to the width and then to the height, each rounded to bytes.

    Args:
        graph: that receives the nodes.
        images: name of float64 ``[N, 3, H, W]``, whole numbers.
        size: height and width of the result.

    Returns:
        name of float64 ``[N, 3, *size]``, whole numbers.
    """
    height, width = size
    across = graph.add("Transpose", [_weights(graph, images, 3, width)], perm=[1, 0])
    narrow = _rounded(graph, graph.add("MatMul", [images, across]))
    return _rounded(graph, graph.add("MatMul", [_weights(graph, images, 2, height), narrow]))


def _weights(graph: Graph, images: str, axis: int, size: int) -> str:
    """Add the matrix ``[size, n]`` that makes ``size`` values of the ``n`` along an axis."""

    def number(value: float) -> str:
        return graph.constant(np.array(value, np.float64))

    shape = graph.add("Shape", [images], start=axis, end=axis + 1)
    count = graph.add("Cast", [graph.add("Squeeze", [shape])], to=FLOAT64)
    scale = graph.add("Div", [count, number(size)])
    reach = graph.add("Max", [scale, number(1)])
    centres = graph.add("Mul", [graph.constant(np.arange(size)[:, None] + 0.5), scale])
    places = graph.add("Range", [number(0), count, number(1)])
    distance = graph.add("Add", [graph.add("Sub", [places, centres]), number(0.5)])
    nearness = graph.add("Sub", [number(1), graph.add("Div", [graph.add("Abs", [distance]), reach])])
    inside = graph.add("Max", [nearness, number(0)])
    share = graph.add("Div", [inside, graph.add("ReduceSum", [inside, graph.integers(1)], keepdims=1)])
    digits = graph.add("Mul", [share, number(2**_DIGITS)])
    kept = graph.add("Floor", [graph.add("Add", [digits, number(0.5)])])
    return graph.add("Div", [kept, number(2**_DIGITS)])


def _rounded(graph: Graph, values: str) -> str:
    half = graph.constant(np.array(0.5))
    return graph.add("Floor", [graph.add("Add", [values, half])])
