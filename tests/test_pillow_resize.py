"""Images that are resized within a graph are Pillow's to the bit."""

import numpy as np
import pytest
from onnx_programs import BATCH, Graph
from PIL import Image

from jaxnext.inference.onnx.pillow_resize import resized


@pytest.mark.parametrize("size", [(24, 20), (90, 70), (53, 31)])
def test_bytes(size: tuple[int, int]) -> None:
    from jaxnext.inference.onnx.model import assemble
    from jaxnext.inference.onnx.runtime import session

    image = np.random.default_rng(0).integers(0, 256, (53, 71, 3)).astype(np.uint8)
    graph = Graph(("x",))
    name = graph.add("Cast", [resized(graph, "x", size)], to=1)
    model = assemble(graph, {"x": (np.float64, (BATCH, 3, "h", "w"))}, {"y": name}, (BATCH, 3, *size))
    model_input = np.ascontiguousarray(image.transpose(2, 0, 1)[None].astype(np.float64))
    (found,) = session(model.SerializeToString(), threads=1).run(["y"], {"x": model_input})
    expected = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(found[0].transpose(1, 2, 0), expected)
