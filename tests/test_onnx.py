"""The exporter of ONNX: files that onnxruntime runs, and options that do not fit."""

from pathlib import Path

import numpy as np
import onnx_programs
import pytest
from onnx_nets import CLASSES, IMAGES, logits_of, with_parts
from PIL import Image
from tolerances import FLOAT32_LOGITS
from torch_ported import relative_error

from jaxnext.errors import UsageError
from jaxnext.inference.exporter import FORMATS
from jaxnext.inference.exporters.onnx import Exporter
from jaxnext.models.heads.fc import Head

assert onnx_programs  # skips these where the libraries are missing


NET = with_parts(None, Head(len(CLASSES), (6, 4)))


@pytest.mark.parametrize(
    "exporter", [Exporter(), Exporter(preprocessing=True), Exporter(preprocessing=True, resize=True, opset=18)]
)
def test_written_and_run(exporter: Exporter, tmp_path: Path) -> None:
    net = NET._replace(temperature=2.5)
    exporter.check()
    exporter.write(net, tmp_path / "net.part")
    larger = np.asarray(Image.fromarray(IMAGES[0]).resize((64, 64), Image.Resampling.NEAREST))
    found = exporter.run(net, tmp_path / "net.part", [*IMAGES, larger])
    assert relative_error(found[:3], logits_of(net) / 2.5) <= FLOAT32_LOGITS
    assert found.shape == (4, 5)


def test_images_are_resized_within() -> None:
    from jaxnext.data.resize import resize
    from jaxnext.inference.onnx.model import build
    from jaxnext.inference.onnx.runtime import session

    run = session(build(NET, bytes_in=True, resize=True, opset=0).SerializeToString(), threads=1).run
    large = np.random.default_rng(1).integers(0, 256, (45, 50, 3)).astype(np.uint8)
    (own,), (given,) = (run(["logits"], {"images": image[None]}) for image in (large, resize(large, NET.pixels)))
    np.testing.assert_array_equal(own, given)


def test_options() -> None:
    assert FORMATS.choose("onnx", preprocessing=True).build() == Exporter(preprocessing=True)
    with pytest.raises(UsageError, match=r"^format.resize: expected format.preprocessing true with it, found false$"):
        FORMATS.choose("onnx", resize=True).build()
    with pytest.raises(UsageError, match=r"^format.opset: expected at least 18, found 17$"):
        FORMATS.choose("onnx", opset=17).build()
    with pytest.raises(UsageError, match=r"^format.opset: expected at most \d+, the newest .* takes, found 1000$"):
        Exporter(opset=1000).check()
