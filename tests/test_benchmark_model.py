import argparse
import dataclasses
import json
import sys

import jax
import numpy as np
import pytest
from benchmark_cases import CONFIG
from benchmarks import command, jax_steps, machine, model, resident, torch_steps
from benchmarks.flops import forward_flops

from jaxnext.engine import parallel, steps
from jaxnext.engine.network import network
from jaxnext.models.initialisation import initialise

VARIABLES = initialise(network(CONFIG.model, 5, "float32"), 0)
IMAGES = np.random.default_rng(0).standard_normal((2, 32, 32, 3), np.float32)


@pytest.fixture
def options(monkeypatch) -> argparse.Namespace:
    """Of a net and ceilings that are measured in a moment."""
    monkeypatch.setattr(machine, "MATMUL_SIZES", {"cpu": (64,)})
    monkeypatch.setattr(machine, "COPY_BYTES", {"cpu": 2**16})
    monkeypatch.setattr(machine, "prepare", lambda: None)
    monkeypatch.setattr(model, "_config", lambda options: CONFIG)
    words = "model --config tiny --image_size 32 --batch_size 2 --rounds 1 --sample_seconds 0"
    return command.parse(words.split())


@pytest.mark.slow
def test_result_and_table(options, monkeypatch):
    torch = pytest.importorskip("torch")

    def compile_network(net):
        if net.training:
            raise RuntimeError("no C compiler\nfound anywhere")
        return net

    monkeypatch.setattr(torch, "compile", compile_network)
    called = iter(range(1, 100))
    monkeypatch.setattr(resident, "peak_of", lambda call: (call(), next(called))[1])
    said: list[str] = []
    result = model.run(options, said.append)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    functions = ["jaxnext", "torch_eager", "torch_channels_last", "torch_compile"]
    assert list(result["train"]) == list(result["inference"]) == functions
    assert result["left_out"] == {"torch_compile train": "RuntimeError: no C compiler"}
    assert "torch_compile train is left out: RuntimeError: no C compiler" in said
    assert result["train"]["torch_compile"] is result["train_ratio_to_torch_compile"] is None
    flops = 2 * forward_flops(CONFIG.model, 5, 32)
    assert result["flops"] == {"inference": flops, "train": 3 * flops}
    for mode in ("train", "inference"):
        ours, eager, channels_last, _ = result[mode].values()
        better = min(eager["median_seconds"], channels_last["median_seconds"])
        assert result[f"{mode}_ratio_to_torch"] == ours["median_seconds"] / better
        assert ours["images_per_second"] == 2 / ours["median_seconds"]
        assert ours["flops_per_second"] == result["flops"][mode] / ours["median_seconds"]
        assert ours["share_of_matmul_peak"] * result["ceilings"]["jax_matmul_flops_per_second"] == pytest.approx(
            ours["flops_per_second"]
        )
    # One more call of each after the times were measured.
    peaks = [r and r["peak_memory_bytes"] for mode in ("train", "inference") for r in result[mode].values()]
    assert peaks == [1, 2, 3, None, 4, 5, 6, 7]
    lines = model.table(result).splitlines()
    assert lines[0].startswith("tiny, 32 x 32 pixels, batch 2, float32, 1 rounds; ")
    assert "torch_compile        not measured" in [line.rstrip() for line in lines]
    assert (
        f"time over that of the better of eager and channels_last PyTorch: {result['train_ratio_to_torch']:.2f}"
        in lines
    )
    assert model.summary(result)["train, time over PyTorch's"] == result["train_ratio_to_torch"]


@pytest.mark.slow
def test_jaxnext_alone_needs_no_torch(options, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(model, "MODES", ("inference",))
    options.candidates = ["jaxnext"]
    result = model.run(options, lambda line: None)
    assert list(result["inference"]) == ["jaxnext"]
    assert result["inference_ratio_to_torch"] is None
    assert list(result["ceilings"]) == ["jax_matmul_flops_per_second", "copy_bytes_per_second"]


@pytest.mark.slow
def test_our_training_steps_follow_each_other():
    candidate = jax_steps.prepare("train", CONFIG, 5, VARIABLES, IMAGES)
    assert candidate.facts["peak_memory_bytes"] is None
    weights = sum(leaf.nbytes for leaf in jax.tree.leaves(VARIABLES["params"]))
    # Parameters and two moments.
    assert candidate.facts["compiled_memory_bytes"] > 3 * weights
    losses = [float(candidate.call()[1]["loss"]) for _ in range(8)]
    assert losses[-1] < losses[0]


def test_our_inference_is_that_of_prediction():
    found = np.asarray(jax_steps.prepare("inference", CONFIG, 5, VARIABLES, IMAGES).call())
    mesh = parallel.mesh_of(jax.devices()[:1])
    pixels = (np.clip(IMAGES, -2, 2) * 63 + 128).astype(np.uint8)
    unfolded = steps.compile_predict_step(network(CONFIG.model, 5, "float32"), mesh)(VARIABLES, pixels)
    np.testing.assert_allclose(found, unfolded, atol=10 * np.finfo(np.float32).eps)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_pytorch_trains_and_infers(precision):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = dataclasses.replace(CONFIG, precision=precision)
    step = torch_steps.prepare(torch, "cpu", "torch_eager", "train", config, 5, IMAGES)
    losses = [float(step.call().detach()) for _ in range(8)]
    assert losses[-1] < losses[0]
    infer = torch_steps.prepare(torch, "cpu", "torch_eager", "inference", config, 5, IMAGES)
    first, second = infer.call(), infer.call()
    assert (first.shape, first.dtype, first.requires_grad) == ((2, 5), getattr(torch, precision), False)
    assert torch.equal(first, second)


def test_torch_compile_is_given_channels_last(monkeypatch):
    torch = pytest.importorskip("torch")
    seen = []

    def compile_network(net):
        assert net.training
        return lambda x: seen.extend([net.conv1.weight, x]) or net(x)

    monkeypatch.setattr(torch, "compile", compile_network)
    torch_steps.prepare(torch, "cpu", "torch_compile", "train", CONFIG, 5, IMAGES)
    assert len(seen) == 2
    assert all(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in seen)
