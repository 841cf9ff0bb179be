from pathlib import Path

import numpy as np
import pytest

from jaxnext.errors import JaxnextError, UsageError
from jaxnext.inference.export import read_net
from jaxnext.inference.exporter import Net
from jaxnext.inference.exporters import pth, safetensors
from jaxnext.tree import flatten, unflatten


@pytest.fixture(scope="module")
def net(run: Path) -> Net:
    return read_net(run)


def test_what_was_written_is_read_again(net: Net, tmp_path: Path) -> None:
    for exporter in (pth.Exporter(), safetensors.Exporter()):
        output = tmp_path / "net"
        exporter.write(net, output)
        exporter.run(net, output, [])
        leaves = flatten(net.variables)
        bias = leaves["params", "head", "output", "bias"] + np.float32(1e-6)
        other = net._replace(variables=unflatten(leaves | {("params", "head", "output", "bias"): bias}))
        with pytest.raises(JaxnextError) as error:
            exporter.run(other, output, [])
        assert str(error.value) == f"{output}: expected the weights of {net.checkpoint}, found another fc.8.bias"


def test_a_temperature_has_no_place(net: Net, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        pth.Exporter().write(net._replace(temperature=1.5), tmp_path / "net.pth")
    assert str(error.value) == (
        "--temperature 1.5: expected 1 for pth, which holds weights alone and has no place for it; onnx and stablehlo "
        "divide the logits"
    )
    assert list(tmp_path.iterdir()) == []
