"""``benchmark.py ahead``: a small net compiled for machines that are not there, where their compilers are installed."""

import dataclasses
import json
import os
import subprocess
import sys
from argparse import Namespace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from benchmarks import ahead
from benchmarks.report import shaped

from jaxnext.config.sections import Config

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "benchmark.py"
NET = """\
model:
  stage_sizes: [1, 1, 1, 1]
  widths: [16, 16, 16, 16]
  features: [16, 16, 16, 16]
  stem_features: 16
  groups: 4
"""


def compiled(target: str, folder: Path) -> dict[str, Any]:
    """In a process of its own, which is told of no accelerator."""
    (folder / "net.yaml").write_text(NET)
    argv = [
        "--config",
        str(folder / "net.yaml"),
        "--image_size",
        "32",
        "--batch_size",
        "4",
        "--json",
        str(folder / "a.json"),
    ]
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "TPU_SKIP_MDS_QUERY": "1"}
    command = [sys.executable, str(SCRIPT), "ahead", "--target", target, "--modes", "train", *argv]
    subprocess.run(command, check=True, env=environment, timeout=500)
    return json.loads((folder / "a.json").read_text())["train"]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("jax_cuda13_plugin") is None, reason="needs jax[cuda13]")
@pytest.mark.parametrize(("target", "collectives", "kernels"), [("h100", set(), 260), ("h100:2", {"all-reduce"}, 420)])
def test_gpus(target: str, collectives: set[str], kernels: int, tmp_path: Path) -> None:
    found = compiled(target, tmp_path)
    assert set(found["collectives"]) == collectives
    assert found["kernels"] <= kernels


@pytest.mark.slow
@pytest.mark.skipif(find_spec("libtpu") is None, reason="needs jax[tpu]")
def test_four_tpus(tmp_path: Path) -> None:
    found = compiled("v5e:2x2", tmp_path)
    assert set(found["collectives"]) == {"all-reduce"}
    # At most three for each of the 17 batch norms, and those of the gradients and the step's sums.
    assert 17 <= found["collectives"]["all-reduce"]["count"] <= 3 * 17 + 4
    assert found["cycles"] > 0


RECORD = {
    "compile_seconds": 12.3,
    "kernels": 2,
    "bytes": 3_000_000_000,
    "cycles": 1_500_000,
    "temporary_bytes": 500_000_000,
    "device_bytes": 16e9,
    "collectives": {"all-reduce": {"count": 3, "bytes": 2_000_000}},
    "parts": {"stem": {"kernels": 2, "bytes": 3_000_000_000, "cycles": 1_500_000}},
    "kinds": {"copy": {"kernels": 2, "bytes": 3_000_000_000, "cycles": 1_500_000}},
    "top": [{"name": "copy.1", "kind": "copy", "bytes": 2_000_000_000, "cycles": 1_000_000, "source": "jit(s)/x"}],
    "flops": 4e9,
    "arithmetic_ms": 0.5,
    "memory_ms": 3.7,
}


def test_table() -> None:
    result = {
        **{"config": "a", "precision": "bfloat16", "image_size": 64, "batch_size": 4, "devices": 4},
        **{"chip": "TPU v5e", "jax": "0.10.2", "train": RECORD},
    }
    assert ahead.table(result).splitlines()[:6] == [
        "a, bfloat16, 64 x 64 pixels, 4 images on each of 4 TPU v5e, jax 0.10.2; compiled, not run",
        "",
        "train: 2 kernels, 3.0 GB between them, 1.5 million estimated cycles",
        "temporary memory 0.50 of 16 GB; at least 0.5 ms of arithmetic and 3.7 ms of memory; compiled in 12 s",
        "collectives: 3 all-reduce (2.0 MB)",
        "",
    ]
    assert ahead.summary(result)["train, cycles"] == 1_500_000


def test_config_of_the_options() -> None:
    options = Namespace(batch_size=3, precision="bfloat16", image_size=64, remat=True)
    found = shaped(Config(), options)
    assert (found.batch_size, found.precision, found.data.size, found.model.remat) == (3, "bfloat16", (64, 64), True)
    remat = dataclasses.replace(Config(), model=found.model)
    assert shaped(remat, Namespace(**{**vars(options), "remat": False})).model.remat
