"""Functions of JAX as models of ONNX, run by onnxruntime, for the tests of their translation."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import pytest

from jaxnext.inference.onnx.graph import BATCH, Graph, Value, image_axes
from jaxnext.inference.onnx.trace import Program
from jaxnext.inference.onnx.translate import translate

pytest.importorskip("onnx", reason="needs onnx")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")

IMAGES = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32)
"""``[N, H, W, C]``."""


def graph_of(function: Callable[[jax.Array], jax.Array], shape: tuple[int, ...]) -> tuple[Graph, Value]:
    """The translation of a function of ``shape``, whose first axis may be of any size."""
    (batch,) = jax.export.symbolic_shape(BATCH)
    given = jax.ShapeDtypeStruct((batch, *shape[1:]), np.float32)
    program = Program(jax.make_jaxpr(function)(given), {})
    graph = Graph(("images",))
    found = translate(graph, program, Value(program.images, "images", axes=image_axes(len(shape))))
    return graph, found


def computed(function: Callable[[jax.Array], jax.Array], x: np.ndarray = IMAGES) -> tuple[np.ndarray, Counter[str]]:
    """What onnxruntime makes of ``x``, and how many nodes there are of each operation."""
    from jaxnext.inference.onnx.model import assemble
    from jaxnext.inference.onnx.runtime import session

    graph, found = graph_of(function, x.shape)
    axes = image_axes(x.ndim)
    shape = tuple(size if isinstance(size, int) else str(size) for size in found.shape)
    sizes = (BATCH, *(x.shape[axis] for axis in axes[1:]))
    model = assemble(graph, {"images": (np.float32, sizes)}, {"found": graph.name_of(found)}, shape)
    given = {"images": np.ascontiguousarray(x.transpose(axes))}
    (result,) = session(model.SerializeToString(), threads=1).run(["found"], given)
    return result, Counter(node.op_type for node in model.graph.node)


def assert_same(functions: Mapping[str, tuple[Callable[[Any], Any], Mapping[str, int] | None]], x: np.ndarray) -> None:
    """onnxruntime gives what JAX gives, of each function, and with the nodes that are expected, where any are."""
    # One program for all: to compile each takes most of the time.
    expected = jax.jit(lambda x: {name: function(x) for name, (function, _) in functions.items()})(x)
    for name, (function, nodes) in functions.items():
        result, ops = computed(function, x)
        np.testing.assert_allclose(result, np.asarray(expected[name]), rtol=1e-5, atol=1e-6, err_msg=name)
        assert nodes is None or ops == nodes, f"{name}: {ops}"
