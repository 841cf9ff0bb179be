import dataclasses
import json
import sys
import time
from types import SimpleNamespace

import pytest
from benchmarks import machine, suite
from benchmarks.report import failure
from benchmarks.suite_parts import Task, parts_of
from benchmarks.suite_tasks import check, measure
from suite_cases import OPTIONS, World

from jaxnext.errors import JaxnextError, UsageError


@pytest.fixture
def small_ceilings(monkeypatch):
    monkeypatch.setattr(machine, "MATMUL_SIZES", {"cpu": (64,)})
    monkeypatch.setattr(machine, "COPY_BYTES", {"cpu": 2**16})


def measured(task, tmp_path):
    return measure(task, tmp_path, cores=1, clock=time.perf_counter, say=lambda line: None)


def test_description(tmp_path):
    torch = pytest.importorskip("torch")
    found = measured(Task("describe", "describe", OPTIONS), tmp_path)
    assert list(found) == ["system", "machine", "versions"]
    assert list(found["machine"]) == ["cpu", "cores", "gpu", "driver"]
    assert found["versions"]["torch"] == torch.__version__
    assert "timm" in found["versions"]
    assert list(tmp_path.iterdir()) == []


def test_timm_is_called_for_its_network_and_left_out_where_it_is_not(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    options = dataclasses.replace(OPTIONS, config=dataclasses.replace(OPTIONS.config, batch_size=2))
    task = Task("model", "timm_channels_last", options)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(JaxnextError, match=r"^timm is not installed for this Python$"):
        measured(task, tmp_path)
    asked = []

    def create_model(name, **arguments):
        asked.append((name, arguments))
        return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 5))

    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(create_model=create_model))
    found = measured(task, tmp_path)
    assert asked == [("resnext50_32x4d", {"pretrained": False, "num_classes": 5})]
    assert len(found["samples"]) == 1
    assert found["peak_memory_bytes"] is None


def test_an_unknown_candidate_is_refused():
    check(("jaxnext", "torch_eager", "timm_compile"))
    with pytest.raises(UsageError, match=r"^--candidates: expected some of jaxnext, torch_eager, .*, found 'timm'$"):
        check(("timm",))


def test_failures_in_one_line():
    assert failure(MemoryError()) == "out of memory"
    assert failure(RuntimeError("RESOURCE_EXHAUSTED: Out of memory\nmore")) == (
        "out of memory: RESOURCE_EXHAUSTED: Out of memory"
    )
    out_of_memory = type("OutOfMemoryError", (RuntimeError,), {})
    assert failure(out_of_memory("CUDA out of memory.")) == "out of memory: CUDA out of memory."
    assert failure(KeyError("a")) == "KeyError: 'a'"
    assert failure(JaxnextError("a sentence")) == "a sentence"


@pytest.mark.slow
def test_the_whole_suite_on_the_cpu(tmp_path, small_ceilings, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch, "compile", lambda net: net)
    world, file = World(), tmp_path / "s.json"

    def worker(task, seconds, part):
        try:
            return measured(task, tmp_path)
        except JaxnextError as error:
            raise AssertionError(f"{part} {task.name}") from error

    around = world.around()._replace(worker=worker)
    options = dataclasses.replace(OPTIONS, batch_sizes=(2,), passes=1)
    table, failed = suite.run(options, (), file, again=False, seconds=100, around=around)
    assert failed == []
    result = json.loads(file.read_text())
    assert list(result["parts"]) == [part.name for part in parts_of(options)]
    assert [record["left_out"] for record in result["parts"].values()] == [{}] * len(result["parts"])
    for name in ("train_bf16_2", "train_float32_2", "inference_bf16_2", "inference_float32_2"):
        results = result["parts"][name]["results"]
        assert list(results) == ["jaxnext", "torch_compile"]
        assert [len(record["samples"]) for record in results.values()] == [1, 1]
        assert results["jaxnext"]["peak_memory_bytes"] > 0
    shapes = {name: list(result["parts"][name]["results"]) for name in ("grouped_conv_1", "grouped_conv_2")}
    assert shapes == {"grouped_conv_1": ["8x8x4"], "grouped_conv_2": ["8x8x8 stride 2", "4x4x8"]}
    forward = result["parts"]["grouped_conv_2"]["results"]["4x4x8"]["forward"]
    assert list(forward) == ["native", "packed32", "rule", "torch_contiguous", "torch_channels_last"]
    assert forward["native"]["compile_seconds"] > 0
    # What is kept for the backward pass without remat.
    remat = result["parts"]["remat"]["results"]
    assert remat["stored"]["peak_memory_bytes"] != remat["remat"]["peak_memory_bytes"]
    augment = result["parts"]["augment"]["results"]
    assert list(augment) == ["augment_and_normalize", "normalize"]
    for words in (
        "times torch_compile's",
        "sum over the net, forward_backward",
        "remat: ",
        "matrix product in float32",
    ):
        assert words in table
