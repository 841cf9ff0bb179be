import json
import time

import pytest
from benchmark_cases import CONFIG
from benchmarks import machine, model, resident
from benchmarks.flops import forward_flops


@pytest.fixture(autouse=True)
def _small_ceilings(monkeypatch):
    monkeypatch.setattr(machine, "MATMUL_SIZES", {"cpu": (64,)})
    monkeypatch.setattr(machine, "COPY_BYTES", {"cpu": 2**16})


def test_result_and_table(monkeypatch):
    torch = pytest.importorskip("torch")

    def compile_network(net):
        if net.training:
            raise RuntimeError("no C compiler\nfound anywhere")
        return net

    monkeypatch.setattr(torch, "compile", compile_network)
    called = iter(range(1, 100))

    def peak_of(call):
        call()
        return next(called)

    monkeypatch.setattr(resident, "peak_of", peak_of)
    said: list[str] = []
    result = model.run(model.Options(CONFIG, "tiny", 1), cores=1, clock=time.perf_counter, say=said.append)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    functions = ["jaxnext", "torch_eager", "torch_channels_last", "torch_compile"]
    assert list(result["train"]) == list(result["inference"]) == functions
    assert "train: torch.compile failed and is left out (RuntimeError: no C compiler)" in said
    assert result["train"]["torch_compile"] is None
    assert result["train_ratio_to_torch_compile"] is None
    flops = 2 * forward_flops(CONFIG.model, 5, 32)
    assert result["flops"] == {"inference": flops, "train": 3 * flops}
    for mode in ("train", "inference"):
        ours, eager, channels_last, _ = result[mode].values()
        better = min(eager["median_seconds"], channels_last["median_seconds"])
        assert result[f"{mode}_ratio_to_torch"] == ours["median_seconds"] / better
        assert ours["images_per_second"] == 2 / ours["median_seconds"]
        assert ours["flops_per_second"] == result["flops"][mode] / ours["median_seconds"]
        peak = result["ceilings"]["jax_matmul_flops_per_second"]
        assert ours["share_of_matmul_peak"] == ours["flops_per_second"] / peak
        assert ours["compile_seconds"] > 0
        assert ours["compiled_memory_bytes"] > 0
    # One more call of each, inference first, after the times were measured.
    peaks = [r and r["peak_memory_bytes"] for mode in ("inference", "train") for r in result[mode].values()]
    assert peaks == [1, 2, 3, 4, 5, 6, 7, None]
    compiled = result["inference"]["torch_compile"]["median_seconds"]
    ours = result["inference"]["jaxnext"]["median_seconds"]
    assert result["inference_ratio_to_torch_compile"] == ours / compiled
    assert result["threads"] == {"jax": 1, "torch": 1}

    lines = model.table(result).splitlines()
    assert lines[0].startswith("tiny, 32 x 32 pixels, batch 2, float32, 1 rounds; ")
    assert "torch_compile        not measured" in [line.rstrip() for line in lines]
    ratio = result["train_ratio_to_torch"]
    assert f"time over that of the better of eager and channels_last PyTorch: {ratio:.2f}" in lines


def test_torch_compile_is_left_out(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch, "compile", None)
    monkeypatch.setattr(model, "MODES", ("inference",))
    monkeypatch.setattr(model, "_ratios", lambda timings: {"timings": sorted(timings["inference"])})
    options = model.Options(CONFIG, "tiny", 1, torch_compile=False)
    result = model.run(options, cores=1, clock=time.perf_counter, say=lambda line: None)
    assert result["inference"]["torch_compile"] is None
    assert result["timings"] == ["jaxnext", "torch_channels_last", "torch_eager"]
