"""A net's file: what it takes and gives, its nodes, and what it says of itself."""

import functools
import json
from collections import Counter
from typing import Any

import jax.numpy as jnp
import numpy as np
import onnx_programs
import pytest
from onnx_nets import CLASSES, IMAGES, logits_of, net_of, with_parts
from tolerances import FLOAT32_LOGITS
from torch_ported import relative_error
from torch_reference import NETS, SETTINGS

from jaxnext.errors import JaxnextError, UsageError
from jaxnext.inference.onnx.graph import Graph
from jaxnext.models.heads.linear import Head
from jaxnext.normalization import normalize

assert onnx_programs  # skips these where the libraries are missing


@functools.cache
def built(setting: str) -> Any:
    from jaxnext.inference.onnx.model import build

    return build(net_of(setting), bytes_in=False, resize=False, opset=0)


def ends_of(model: Any) -> list[tuple[str, list[int | str]]]:
    return [
        (end.name, [axis.dim_param or axis.dim_value for axis in end.type.tensor_type.shape.dim])
        for end in (*model.graph.input, *model.graph.output)
    ]


SHORT = ("fc_cbam", "se")


@pytest.mark.parametrize(
    "setting", [pytest.param(name, marks=[] if name in SHORT else pytest.mark.slow) for name in (*SETTINGS, *NETS)]
)
def test_logits_and_nodes(setting: str) -> None:
    from jaxnext.inference.onnx.runtime import session

    model = built(setting)
    normal = np.asarray(normalize(jnp.asarray(np.stack(IMAGES)), jnp.float32))
    given = np.ascontiguousarray(normal.transpose(0, 3, 1, 2))
    logits, probabilities = session(model.SerializeToString(), threads=1).run(
        ["logits", "probabilities"], {"images": given}
    )
    expected = logits_of(net_of(setting))
    assert relative_error(logits, expected) <= FLOAT32_LOGITS
    powers = np.exp(expected - expected.max(1, keepdims=True))
    np.testing.assert_allclose(probabilities, powers / powers.sum(1, keepdims=True), atol=1e-5)
    ops = Counter(node.op_type for node in model.graph.node)
    grouped = [node for node in model.graph.node for a in node.attribute if a.name == "group" and a.i == 2]
    blocks, cbam, head = 3, "cbam" in setting, 2 * ("fc" in setting)
    assert len(grouped) == (0 if setting == "basic" else blocks)
    assert ops["Transpose"] == 0
    assert ops["Conv"] == (9 if setting == "basic" else 12) + cbam
    assert ops["Gemm"] == 1 + head + 4 * cbam + 2 * blocks * (setting == "se")
    assert ops["Add"] == blocks + cbam
    assert ops["MaxPool"] == 1


def test_ends_and_metadata() -> None:
    model = built("fc_cbam")
    assert ends_of(model) == [
        ("images", ["batch", 3, 32, 32]),
        ("logits", ["batch", 5]),
        ("probabilities", ["batch", 5]),
    ]
    assert {node.op_type for node in model.graph.node} & {"Transpose", "Identity", "Constant"} == set()
    said = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert said == {
        "classes": list(CLASSES),
        "preprocessing": {
            "size": [32, 32],
            "resize": "stretch",
            "orientation": "exif",
            "depth": "scale",
            "background": "white",
            "filter": "bilinear, antialiased",
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
        },
        "temperature": 1.0,
    }
    names = [tensor.name for tensor in model.graph.initializer]
    assert {"backbone/stem_conv/kernel", "backbone/stem_norm/bias", "head/output/bias"} <= set(names)
    assert [node.name for node in model.graph.node][:3] == [
        "backbone/stem_conv/Conv",
        "backbone/stem_conv/Relu",
        "backbone/MaxPool",
    ]


def test_bytes_of_any_size() -> None:
    from jaxnext.inference.onnx.model import build

    net = with_parts(None, Head(len(CLASSES)))
    model = build(net, bytes_in=True, resize=True, opset=0)
    assert [node.op_type for node in model.graph.node].count("Transpose") == 2  # one of a matrix of weights
    assert ends_of(model) == [
        ("images", ["batch", "height", "width", 3]),
        ("probabilities", ["batch", 5]),
        ("logits", ["batch", 5]),
    ]


def test_only_stretching_is_done_within() -> None:
    from jaxnext.inference.onnx.model import build

    net = net_of("baseline")
    net = net._replace(pixels=type(net.pixels)((32, 32), "crop"))
    with pytest.raises(UsageError, match=r"^format.resize: expected a net with data.resize stretch, found crop; "):
        build(net, bytes_in=True, resize=True, opset=0)


def test_a_graph_that_is_none_is_refused() -> None:
    from jaxnext.inference.onnx.model import assemble

    graph = Graph(("x",))
    end = graph.add("Gemm", ["x", graph.constant(np.ones((2, 2)))])
    with pytest.raises(JaxnextError, match=r"^the net makes no valid file of ONNX: "):
        assemble(graph, {"x": (np.float32, ("batch", 3))}, {"y": end}, ("batch", 2))
