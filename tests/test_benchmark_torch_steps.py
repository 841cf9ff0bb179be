import dataclasses

import numpy as np
import pytest
from benchmark_cases import CONFIG, Ticks
from benchmarks.torch_steps import prepare

IMAGES = np.random.default_rng(0).standard_normal((2, 32, 32, 3), np.float32)


def prepared(torch, variant, mode, precision="float32"):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = dataclasses.replace(CONFIG, precision=precision)
    return prepare(torch, "cpu", variant, mode, config, 5, IMAGES, Ticks())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_training_step_trains(precision):
    torch = pytest.importorskip("torch")
    step = prepared(torch, "torch_eager", "train", precision)
    assert (step.candidate.name, step.first_call_seconds, step.peak_memory_bytes) == ("torch_eager", 1, None)
    losses = [float(step.candidate.call().detach()) for _ in range(8)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(("precision", "dtype"), [("float32", "float32"), ("bfloat16", "bfloat16")])
def test_inference_is_in_evaluation_mode_and_without_gradients(precision, dtype):
    torch = pytest.importorskip("torch")
    infer = prepared(torch, "torch_eager", "inference", precision)
    first, second = infer.candidate.call(), infer.candidate.call()
    assert first.shape == (2, 5)
    assert first.dtype == getattr(torch, dtype)
    assert not first.requires_grad
    assert torch.equal(first, second)


def test_memory_layouts_compute_the_same():
    torch = pytest.importorskip("torch")
    eager, other = (
        prepared(torch, variant, "inference").candidate.call() for variant in ("torch_eager", "torch_channels_last")
    )
    torch.testing.assert_close(eager, other)


@pytest.mark.parametrize("mode", ["train", "inference"])
def test_torch_compile_is_given_channels_last(mode, monkeypatch):
    torch = pytest.importorskip("torch")
    seen = []

    def compile_network(net):
        def call(x):
            seen.extend([net.conv1.weight, x])
            return net(x)

        assert net.training == (mode == "train")
        return call

    monkeypatch.setattr(torch, "compile", compile_network)
    assert prepared(torch, "torch_compile", mode).candidate.name == "torch_compile"
    assert len(seen) == 2
    assert all(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in seen)


def test_what_the_compiler_raises_is_raised(monkeypatch):
    torch = pytest.importorskip("torch")

    def compile_network(net):
        raise RuntimeError("no C compiler")

    monkeypatch.setattr(torch, "compile", compile_network)
    with pytest.raises(RuntimeError, match="no C compiler"):
        prepared(torch, "torch_compile", "inference")
