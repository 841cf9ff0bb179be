"""Arrays are stretched and turned round by nodes only where something reads them so."""

import jax
import numpy as np
import pytest
from onnx_programs import BATCH

from jaxnext.errors import JaxnextError
from jaxnext.inference.onnx.graph import Graph, Value, image_axes

NUMBERS = np.arange(6, dtype=np.float32).reshape(1, 2, 3, 1)


def of_batch(*sizes: int) -> tuple:
    (batch,) = jax.export.symbolic_shape(BATCH)
    return (batch, *sizes)


def test_names_are_each_given_once_and_equal_constants_are_one() -> None:
    graph = Graph(("images",))
    graph.scope = "head"
    names = [graph.add("Relu", ["images"]), graph.add("Relu", ["images"]), graph.fresh("images")]
    assert names == ["head/Relu", "head/Relu_2", "images_2"]
    first = graph.constant(np.array([1, 2]), "kernel")
    assert (first, graph.constant(np.array([1, 2]), "other"), graph.constant(np.array([1.0, 2]))) == (
        "kernel",
        "kernel",
        "head/constant",
    )


def test_a_constant_is_turned_round_without_a_node() -> None:
    graph = Graph(("images",))
    value = graph.arranged(Value(NUMBERS.shape, "kernel", NUMBERS, (0, 1, 2, 3)), image_axes(4))
    assert graph.constants[graph.name_of(value)].tolist() == [[[[0, 1, 2], [3, 4, 5]]]]
    assert graph.nodes == []


def test_a_computed_array_is_turned_round_by_one_node() -> None:
    graph = Graph(("images",))
    value = Value(of_batch(2, 3, 4), "images", axes=image_axes(4))
    assert graph.arranged(value, image_axes(4)) is value
    assert graph.arranged(value, (0, 1, 2, 3)).name == "Transpose"
    assert [(node.op, node.attributes) for node in graph.nodes] == [("Transpose", {"perm": [0, 2, 3, 1]})]


def test_stretching() -> None:
    graph = Graph(("images",))
    known = graph.whole(Value((2, 3), "", np.array([[1, 2, 3]]), (0, 1), frozenset([0])))
    assert known.data is not None
    assert (known.data.tolist(), graph.nodes) == ([[1, 2, 3], [1, 2, 3]], [])
    graph.whole(Value(of_batch(3), "x", axes=(0, 1), spread=frozenset([1])))
    graph.whole(Value(of_batch(3), "x", axes=(0, 1), spread=frozenset([0])))
    assert [node.op for node in graph.nodes] == ["Expand", "Shape", "Concat", "Expand"]
    assert graph.constants[graph.nodes[0].inputs[1]].tolist() == [1, 3]


def test_a_size_that_is_computed_from_the_number_of_images_is_refused() -> None:
    graph = Graph(("images",))
    graph.scope = "head"
    (batch,) = of_batch()
    with pytest.raises(JaxnextError) as error:
        graph.images(2 * batch)
    assert str(error.value) == "head: expected operations that can be written in ONNX, found the size 2*batch"
