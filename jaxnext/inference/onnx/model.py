"""The file: the net's graph with its ends, the names of the classes and what is done to images."""

import json
from typing import TYPE_CHECKING

import numpy as np

from jaxnext.engine.checkpoint import preprocessing
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.inference.onnx.graph import BATCH, Graph, Value, image_axes
from jaxnext.inference.onnx.runtime import newest_ir_version, newest_opset
from jaxnext.inference.onnx.simplify import named, simplify
from jaxnext.inference.onnx.trace import trace
from jaxnext.inference.onnx.translate import translate
from jaxnext.models.folding import fold
from jaxnext.version import __version__

if TYPE_CHECKING:
    from onnx import ModelProto

    from jaxnext.inference.exporter import Net

INPUT = "images"
LOGITS, PROBABILITIES = "logits", "probabilities"


def build(net: "Net", *, bytes_in: bool, resize: bool, opset: int) -> "ModelProto":
    """Return a net as a model of ONNX, checked.

    Args:
        net: that is exported.
        bytes_in: whether it takes uint8 ``[batch, height, width, 3]`` and normalises them, instead of float32
            ``[batch, 3, height, width]`` that are normalised.
        resize: whether those are of any size.
        opset: version of ONNX's operations; 0: the newest that the installed onnxruntime takes.

    Raises:
        UsageError: images that are shaped otherwise than by stretching, and are to be resized.
        JaxnextError: a net with an operation that has no translation; names the module.
    """
    import onnx
    from onnx import TensorProto, helper

    if resize and net.pixels.resize != "stretch":
        raise UsageError(
            f"format.resize: expected a net with data.resize stretch, found {net.pixels.resize}; leave it out "
            "and resize images as the file's metadata say"
        )
    graph = Graph()
    height, width = net.pixels.size
    program = trace(net.model, fold(net.variables, net.model), (height, width))
    graph.fresh(INPUT)
    shape = (BATCH, *(("height", "width") if resize else (height, width)), 3) if bytes_in else (BATCH, 3, height, width)
    kind = TensorProto.UINT8 if bytes_in else TensorProto.FLOAT
    graph.image_count = graph.add("Shape", [INPUT], start=0, end=1)
    graph.scope = "preprocessing"
    name = INPUT
    if bytes_in:
        name = _normalised(graph, name, net, resize)
    logits = translate(graph, program, Value(program.jaxpr.in_avals[-1].shape, name, axes=image_axes(4)))
    graph.scope = ""
    found = graph.name_of(logits)
    if net.temperature != 1:
        found = graph.add("Div", [found, graph.constant(np.array(net.temperature, np.float32), "temperature")])
    ends = {LOGITS: found, PROBABILITIES: graph.add("Softmax", [found], axis=-1)}
    simplify(graph, list(ends.values()))
    named(graph, {INPUT: INPUT} | {end: name for name, end in ends.items()})
    order = (PROBABILITIES, LOGITS) if bytes_in else (LOGITS, PROBABILITIES)
    classes = len(net.classes)
    made = helper.make_graph(
        [
            helper.make_node(node.op, node.inputs, [node.output], name=node.output, **node.attributes)
            for node in graph.nodes
        ],
        "jaxnext",
        [helper.make_tensor_value_info(INPUT, kind, shape)],
        [helper.make_tensor_value_info(end, TensorProto.FLOAT, (BATCH, classes)) for end in order],
        [onnx.numpy_helper.from_array(np.asarray(data), name) for name, data in graph.constants.items()],
    )
    opsets = [helper.make_opsetid("", opset or newest_opset())]
    model = helper.make_model(made, producer_name="jaxnext", producer_version=__version__, opset_imports=opsets)
    model.ir_version = newest_ir_version()
    helper.set_model_props(model, _metadata(net))
    try:
        onnx.checker.check_model(model, full_check=True)
        return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except Exception as error:
        raise JaxnextError(f"the graph of the net is no valid ONNX: {error}") from error


def _metadata(net: "Net") -> dict[str, str]:
    values = {"classes": list(net.classes), "preprocessing": preprocessing(net.meta.config) | net.pixels.to_json()}
    if net.temperature != 1:
        values["temperature"] = net.temperature
    return {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}


def _normalised(graph: Graph, name: str, net: "Net", resize: bool) -> str:
    """Add what makes ``[batch, 3, height, width]`` in float32, normalised, of uint8 ``[batch, height, width, 3]``."""
    from onnx import TensorProto

    name = graph.add("Transpose", [name], perm=[0, 3, 1, 2])
    name = graph.add("Cast", [name], to=int(TensorProto.FLOAT))
    if resize:
        sizes = graph.integers(*net.pixels.size)
        name = graph.add("Resize", [name, "", "", sizes], mode="linear", antialias=1, axes=[2, 3])
        # Pillow's pixels are bytes: half of a unit and more is rounded up.
        half = graph.constant(np.array(0.5, np.float32))
        name = graph.add("Floor", [graph.add("Add", [name, half])])
    mean, std = (np.array(values, np.float64).reshape(3, 1, 1) * 255 for values in (net.model.mean, net.model.std))
    name = graph.add("Sub", [name, graph.constant(mean.astype(np.float32), "mean")])
    return graph.add("Mul", [name, graph.constant((1 / std).astype(np.float32), "reciprocal_std")])
