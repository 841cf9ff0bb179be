import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest
import small_run
from jax import export
from uncached import uncached

import jaxnext
from jaxnext.inference.export import read_net
from jaxnext.inference.exporters.stablehlo import Exporter


@pytest.fixture(scope="module")
def written(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("stablehlo") / "net.stablehlo"
    # As a user has it: oneDNN would be called.
    with uncached():
        Exporter(values="probabilities").write(read_net(run, temperature=2.0), output)
    return output


@pytest.fixture(scope="module")
def program(written: Path) -> export.Exported:
    return export.deserialize(bytearray((written / "program.jax_export").read_bytes()))


def test_one_program_for_every_platform_and_any_number_of_images(program: export.Exported) -> None:
    assert program.platforms == ("cpu", "cuda", "tpu")
    (images,), (answer,) = program.in_avals, program.out_avals
    assert (str(images.shape), images.dtype) == ("(n, 16, 16, 3)", np.uint8)
    assert (str(answer.shape), answer.dtype) == ("(n, 12)", np.float32)


def test_nothing_is_called_that_another_process_may_not_have(program: export.Exported) -> None:
    calls = re.findall(r"custom_call @?\"?([\w.$]+)", program.mlir_module())
    # JAX's question whether there is an image at all, which XLA takes out.
    assert calls == ["shape_assertion"]


def test_it_gives_the_probabilities_at_its_temperature(run: Path, program: export.Exported) -> None:
    images = np.stack([np.asarray(small_run.picture(name, 900).resize((16, 16))) for name in ("0", "3", "11")])
    halves = np.sqrt(jaxnext.load(run).predict(images))
    expected = halves / halves.sum(1, keepdims=True)
    assert np.ptp(expected, axis=0).max() > 0.1
    np.testing.assert_allclose(jax.jit(program.call)(images), expected, atol=1e-6)


def test_what_it_says_of_itself(written: Path) -> None:
    assert sorted(file.name for file in written.iterdir()) == ["about.json", "program.jax_export"]
    about = json.loads((written / "about.json").read_text())
    preprocessing = about.pop("preprocessing")
    assert (preprocessing["size"], preprocessing["filter"]) == ([16, 16], "bilinear, antialiased")
    assert about == {
        "program": "program.jax_export",
        "input": {"dtype": "uint8", "shape": ["n", 16, 16, 3], "channels": "RGB"},
        "output": {"values": "probabilities", "dtype": "float32", "temperature": 2.0},
        "classes": ["0", "1", "10", "11", "2", "3", "4", "5", "6", "7", "8", "9"],
    }
