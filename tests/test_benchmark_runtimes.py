import dataclasses

import numpy as np
import pytest
from benchmark_cases import CONFIG
from benchmarks import runtimes

from jaxnext.errors import UsageError

IMAGES = np.random.default_rng(0).standard_normal((2, 32, 32, 3), np.float32)


@pytest.mark.parametrize(("mode", "precision"), [("train", "float32"), ("inference", "bfloat16")])
def test_what_is_not_measured(mode: str, precision) -> None:
    config = dataclasses.replace(CONFIG, precision=precision)
    with pytest.raises(UsageError, match=f"onnxruntime: expected inference in float32, found {mode} in {precision}"):
        runtimes.prepare(None, "onnxruntime", mode, config, 5, IMAGES)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_runtimes_agree() -> None:
    torch = pytest.importorskip("torch")
    for needed in ("onnxscript", "onnxruntime", "openvino"):
        pytest.importorskip(needed)
    found = []
    for runtime in runtimes.RUNTIMES:
        torch.manual_seed(0)
        candidate = runtimes.prepare(torch, runtime, "inference", CONFIG, 5, IMAGES)
        found.append(np.asarray(candidate.call()[0]))
        assert candidate.facts["compile_seconds"] > 0
    assert found[0].shape == (2, 5)
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)
