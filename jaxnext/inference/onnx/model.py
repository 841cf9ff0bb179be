"""The file: the net's graph with its ends, the names of the classes and what is done to images."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxnext.engine.checkpoint import preprocessing
from jaxnext.errors import JaxnextError, UsageError, one_line
from jaxnext.inference.onnx.graph import BATCH, Graph, Value, image_axes
from jaxnext.inference.onnx.pillow_resize import FLOAT64, resized
from jaxnext.inference.onnx.runtime import newest_ir_version, newest_opset
from jaxnext.inference.onnx.simplify import named, simplify
from jaxnext.inference.onnx.trace import trace
from jaxnext.inference.onnx.translate import translate
from jaxnext.models.folding import fold
from jaxnext.types import Variables
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
    if resize and net.pixels.resize != "stretch":
        raise UsageError(
            f"format.resize: expected a net with data.resize stretch, found {net.pixels.resize}; leave it out "
            "and resize images as the file's metadata say"
        )
    return of_folded(net, fold(net.variables, net.model), bytes_in=bytes_in, resize=resize, opset=opset)


def of_folded(
    net: "Net", variables: Variables, *, bytes_in: bool, resize: bool = False, opset: int = 0
) -> "ModelProto":
    """Return what ``build`` does of a net whose variables are folded already; errors as there."""
    height, width = net.pixels.size
    program = trace(net.model, variables, (height, width))
    graph = Graph((INPUT,))
    graph.scope = "preprocessing"
    images = _normalised(graph, INPUT, net, resize) if bytes_in else INPUT
    logits = graph.name_of(translate(graph, program, Value(program.images, images, axes=image_axes(4))))
    graph.scope = ""
    if net.temperature != 1:
        logits = graph.add("Div", [logits, graph.constant(np.array(net.temperature, np.float32), "temperature")])
    ends = {LOGITS: logits, PROBABILITIES: graph.add("Softmax", [logits], axis=-1)}
    first = dict(reversed(ends.items())) if bytes_in else ends
    sizes = ("height", "width") if resize else (height, width)
    given = (np.uint8, (BATCH, *sizes, 3)) if bytes_in else (np.float32, (BATCH, 3, height, width))
    model = assemble(graph, {INPUT: given}, first, (BATCH, len(net.classes)), opset)
    _describe(model, net)
    return model


def assemble(
    graph: Graph,
    inputs: Mapping[str, tuple[Any, Sequence[int | str]]],
    ends: Mapping[str, str],
    shape: Sequence[int | str],
    opset: int = 0,
) -> "ModelProto":
    """Return a graph as a model, simplified, checked, and with the shapes of what is between.

    Args:
        graph: is used up.
        inputs: dtype and shape by name, a named axis where the size is open.
        ends: the values that are outputs, float32, by the names that they get.
        shape: of each output.
        opset: see ``build``.

    Raises:
        JaxnextError: it is no valid model.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    simplify(graph, list(ends.values()))
    named(graph, {name: name for name in inputs} | {value: name for name, value in ends.items()})
    made = helper.make_graph(
        [
            helper.make_node(node.op, node.inputs, [node.output], name=node.output, **node.attributes)
            for node in graph.nodes
        ],
        "jaxnext",
        [
            helper.make_tensor_value_info(name, int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype))), sizes)
            for name, (dtype, sizes) in inputs.items()
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ends],
        [numpy_helper.from_array(data, name) for name, data in graph.constants.items()],
    )
    opsets = [helper.make_opsetid("", opset or newest_opset())]
    model = helper.make_model(made, producer_name="jaxnext", producer_version=__version__, opset_imports=opsets)
    model.ir_version = newest_ir_version()
    try:
        onnx.checker.check_model(model, full_check=True)
        return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    except Exception as error:
        raise JaxnextError(f"the net makes no valid file of ONNX: {one_line(error)}") from error


def _describe(model: "ModelProto", net: "Net") -> None:
    from onnx import helper

    shown = preprocessing(net.meta.config) | net.pixels.to_json()
    values = {"classes": list(net.classes), "preprocessing": shown, "temperature": net.temperature}
    helper.set_model_props(model, {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()})


def _normalised(graph: Graph, images: str, net: "Net", resize: bool) -> str:
    """Add what makes ``[batch, 3, height, width]`` in float32, normalised, of uint8 ``[batch, height, width, 3]``."""
    from onnx import TensorProto

    name = graph.add("Transpose", [images], perm=[0, 3, 1, 2])
    if resize:
        name = resized(graph, graph.add("Cast", [name], to=FLOAT64), net.pixels.size)
    name = graph.add("Cast", [name], to=int(TensorProto.FLOAT))
    mean, std = (np.array(values, np.float64).reshape(3, 1, 1) * 255 for values in (net.model.mean, net.model.std))
    name = graph.add("Sub", [name, graph.constant(mean.astype(np.float32), "mean")])
    return graph.add("Mul", [name, graph.constant((1 / std).astype(np.float32), "reciprocal_std")])
