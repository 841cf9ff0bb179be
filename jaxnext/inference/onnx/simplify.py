"""A graph made smaller: what ONNX has a whole operation for becomes one, and what nothing reads goes."""

from collections import Counter
from collections.abc import Callable

import numpy as np

from jaxnext.inference.onnx.graph import Graph, Node


def simplify(graph: Graph, outputs: list[str]) -> None:
    """Rewrite a graph that computes the same.

    A bias goes into its convolution or product, a sum divided by a count becomes a mean, a comparison with zero and a
    choice a ``Relu``, and an axis that is dropped and put back stays.

    Args:
        graph: is altered.
        outputs: names of what is asked for; they keep their names.
    """
    changed = True
    while changed:
        changed = False
        for rewrite in (_relu, _kept_axes, _mean, _bias, _stride):
            changed |= _everywhere(graph, outputs, rewrite)
        _drop_unread(graph, outputs)


class _View:
    """What a rewrite looks at: who makes a value, and how often it is read."""

    def __init__(self, graph: Graph, outputs: list[str]) -> None:
        self.graph = graph
        self.makers = {node.output: node for node in graph.nodes}
        self.reads = Counter([*outputs, *(name for node in graph.nodes for name in node.inputs)])

    def maker(self, name: str, *ops: str) -> Node | None:
        """Return the node of one of these operations that makes a value which nothing else reads."""
        node = self.makers.get(name)
        return node if node is not None and node.op in ops and self.reads[name] == 1 else None

    def number(self, name: str) -> float | None:
        """Return the number that a constant holds, where it is one."""
        data = self.graph.constants.get(name)
        return None if data is None or data.size != 1 else data.item()


def _everywhere(graph: Graph, outputs: list[str], rewrite: Callable[[_View, Node], bool]) -> bool:
    changed, view = False, _View(graph, outputs)
    for node in graph.nodes:
        if rewrite(view, node):
            changed, view = True, _View(graph, outputs)
    return changed


def _drop_unread(graph: Graph, outputs: list[str]) -> None:
    read, kept = set(outputs), []
    for node in reversed(graph.nodes):
        if node.output in read:
            read.update(node.inputs)
            kept.append(node)
    graph.nodes = kept[::-1]
    graph.constants = {name: data for name, data in graph.constants.items() if name in read}


def _become(node: Node, op: str, inputs: list[str], **attributes: object) -> bool:
    node.op, node.inputs, node.attributes, node.count = op, inputs, attributes, 0
    return True


def _relu(view: _View, node: Node) -> bool:
    """Make a ``Relu`` of the larger of a value and zero, or of zero chosen where it is not above zero."""
    if node.op == "Max" and len(node.inputs) == 2:
        for x, zero in (node.inputs, node.inputs[::-1]):
            if view.number(zero) == 0 and view.graph.constants[zero].dtype.kind == "f":
                return _become(node, "Relu", [x])
    if node.op == "Where":
        which, yes, no = node.inputs
        compared = view.makers.get(which)
        if compared is not None and compared.op in ("LessOrEqual", "Less") and view.number(yes) == 0:
            x, zero = compared.inputs
            if x == no and view.number(zero) == 0:
                return _become(node, "Relu", [x])
    return False


def _mean(view: _View, node: Node) -> bool:
    """Make a mean of a sum that is divided by how many it adds; over height and width it is a global pool."""
    if node.op not in ("Div", "Mul") or len(node.inputs) != 2:
        return False
    sides = [node.inputs] if node.op == "Div" else [node.inputs, node.inputs[::-1]]
    for total, factor in sides:
        added, number = view.maker(total, "ReduceSum"), view.number(factor)
        pooled = view.maker(total, "Mul")
        if node.op == "Div" and pooled is not None and view.number(pooled.inputs[1]) == number is not None:
            pool = view.maker(pooled.inputs[0], "AveragePool")
            if pool is not None:
                return _become(node, pool.op, pool.inputs, **pool.attributes)
        if added is None or number is None or not added.count:
            continue
        if number == added.count if node.op == "Div" else np.float32(number) == np.float32(1 / added.count):
            return _become(node, "ReduceMean", added.inputs, **added.attributes)
    return False


def _bias(view: _View, node: Node) -> bool:
    """Add a constant for each channel within the convolution or the product before it."""
    if node.op != "Add":
        return False
    constants = view.graph.constants
    for x, other in (node.inputs, node.inputs[::-1]):
        layer, bias = view.maker(x, "Conv", "Gemm"), constants.get(other)
        if layer is None or bias is None:
            continue
        kernel = constants.get(layer.inputs[1])
        if kernel is None:
            continue
        # Kernels are [F, C / groups, ...], a product's matrix is [K, F].
        features = kernel.shape[0] if layer.op == "Conv" else kernel.shape[1]
        behind = kernel.ndim - 2 if layer.op == "Conv" else 0
        if bias.ndim > behind + 1 or (bias.ndim == behind + 1 and bias.shape != (features, *[1] * behind)):
            continue
        if bias.ndim <= behind and bias.size != 1:
            continue
        total = np.broadcast_to(bias.reshape(-1), (features,))
        if len(layer.inputs) == 3:
            total = total + constants[layer.inputs[2]]
        name = view.graph.constant(np.ascontiguousarray(total), view.graph.hints[other])
        return _become(node, layer.op, [*layer.inputs[:2], name], **layer.attributes)
    return False


def _kept_axes(view: _View, node: Node) -> bool:
    """Keep the axes of a reduction that are put back behind it."""
    if node.op != "Unsqueeze":
        return False
    reduced = view.maker(node.inputs[0], "ReduceMean", "ReduceMax", "ReduceSum", "ReduceMin")
    if reduced is None or reduced.attributes["keepdims"] or reduced.inputs[1] != node.inputs[1]:
        return False
    count = reduced.count
    _become(node, reduced.op, reduced.inputs, keepdims=1)
    node.count = count
    return True


def _stride(view: _View, node: Node) -> bool:
    """Let a convolution of 1x1 take the steps of a slice before it."""
    if node.op != "Conv" or node.attributes["kernel_shape"] != [1, 1] or any(node.attributes.get("pads", [0])):
        return False
    cut = view.maker(node.inputs[0], "Slice")
    if cut is None:
        return False
    starts, ends, axes, steps = (view.graph.constants[name].tolist() for name in cut.inputs[1:])
    if any(starts) or min(ends) < np.iinfo(np.int64).max or not set(axes) <= {2, 3} or min(steps) < 1:
        return False
    by_axis = dict(zip(axes, steps, strict=True))
    strides = [stride * by_axis.get(axis, 1) for axis, stride in zip((2, 3), node.attributes["strides"], strict=True)]
    return _become(node, "Conv", [cut.inputs[0], *node.inputs[1:]], **{**node.attributes, "strides": strides})


def named(graph: Graph, given: dict[str, str]) -> None:
    """Name nodes' outputs by module and operation, and constants by what they are.

    Args:
        graph: is altered.
        given: new names of some outputs, and of the inputs, by their old ones.
    """
    new, taken = dict(given), set(given.values())

    def take(old: str, wanted: str) -> None:
        number, name = 1, wanted
        while name in taken:
            number += 1
            name = f"{wanted}_{number}"
        if old not in new:
            new[old] = name
            taken.add(name)

    for name in graph.constants:
        take(name, graph.hints[name])
    for node in graph.nodes:
        take(node.output, f"{node.scope}/{node.op}" if node.scope else node.op)
        node.inputs = [new.get(name, name) for name in node.inputs]
        node.output = new[node.output]
    graph.constants = {new[name]: data for name, data in graph.constants.items()}
