"""What a graph becomes that is simplified, node by node."""

import numpy as np
from onnx_programs import Graph

from jaxnext.inference.onnx.simplify import named, simplify

KERNEL = np.zeros((4, 3, 1, 1), np.float32)


def bias(*values: float) -> np.ndarray:
    return np.array(values, np.float32).reshape(-1, 1, 1)


def nodes(graph: Graph, *outputs: str) -> list[tuple[str, dict]]:
    simplify(graph, list(outputs))
    return [(node.op, node.attributes) for node in graph.nodes]


def test_two_biases_go_into_a_convolution() -> None:
    graph = Graph(("images",))
    y = graph.add("Conv", ["images", graph.constant(KERNEL, "kernel")], kernel_shape=[1, 1], strides=[1, 1])
    y = graph.add("Add", [y, graph.constant(bias(1, 2, 3, 4), "bias")])
    y = graph.add("Add", [graph.constant(np.array(10, np.float32)), y])
    assert nodes(graph, y) == [("Conv", {"kernel_shape": [1, 1], "strides": [1, 1]})]
    assert graph.constants[graph.nodes[0].inputs[2]].tolist() == [11, 12, 13, 14]
    named(graph, {"images": "images", y: "logits"})
    assert (graph.nodes[0].inputs[:2], graph.nodes[0].output) == (["images", "kernel"], "logits")
    assert sorted(graph.constants) == ["constant", "kernel"]


def test_a_bias_stays_where_the_convolution_is_read_twice_or_it_lies_along_another_axis() -> None:
    graph = Graph(("images",))
    y = graph.add("Conv", ["images", graph.constant(KERNEL)], kernel_shape=[1, 1], strides=[1, 1])
    twice = graph.add("Add", [y, graph.constant(bias(1, 2, 3, 4))])
    assert [op for op, _ in nodes(graph, y, twice)] == ["Conv", "Add"]
    graph = Graph(("images",))
    y = graph.add("Conv", ["images", graph.constant(KERNEL)], kernel_shape=[1, 1], strides=[1, 1])
    along_width = graph.add("Add", [y, graph.constant(np.arange(4, dtype=np.float32))])
    assert [op for op, _ in nodes(graph, along_width)] == ["Conv", "Add"]


def test_a_sum_over_its_count_is_a_mean_and_keeps_the_axes_that_are_put_back() -> None:
    graph = Graph(("images",))
    total = graph.add("ReduceSum", ["images", graph.integers(2, 3)], count=24, keepdims=0)
    mean = graph.add("Mul", [graph.constant(np.array(1 / 24, np.float32)), total])
    back = graph.add("Unsqueeze", [mean, graph.integers(2, 3)])
    assert nodes(graph, back) == [("ReduceMean", {"keepdims": 1})]


def test_a_sum_over_another_number_is_none() -> None:
    graph = Graph(("images",))
    total = graph.add("ReduceSum", ["images", graph.integers(2, 3)], count=24, keepdims=0)
    assert [op for op, _ in nodes(graph, graph.add("Div", [total, graph.constant(np.array(25.0))]))] == [
        "ReduceSum",
        "Div",
    ]


def test_what_nothing_reads_goes() -> None:
    graph = Graph(("images",))
    graph.add("Add", ["images", graph.constant(np.ones(3), "unread")])
    assert nodes(graph, graph.add("Relu", ["images"])) == [("Relu", {})]
    assert graph.constants == {}
