"""Inference of PyTorch's own export by the runtimes that people deploy it with: onnxruntime and OpenVINO."""

import contextlib
import logging
import os
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import Candidate
from benchmarks.torch_model import build
from jaxnext.config.sections import Config
from jaxnext.errors import UsageError

RUNTIMES = ("onnxruntime", "openvino")


def prepare(torch: Any, runtime: str, mode: str, config: Config, classes: int, images: np.ndarray) -> Candidate:
    """Export the equal network of PyTorch and call it once in a runtime, on the processor, with all its cores.

    Args:
        torch: the module.
        runtime: one of ``RUNTIMES``.
        mode: ``inference``, from normalised images to logits.
        config: the network; computed in float32.
        classes: number of outputs.
        images: normalised, ``[N, H, W, 3]``, float32.

    Returns:
        with ``compile_seconds``: those of loading and of the first call.

    Raises:
        UsageError: training, or another precision.
        Exception: whatever the export or a runtime raises where it cannot, or the lack of it.
    """
    if mode != "inference" or config.precision != "float32":
        raise UsageError(f"{runtime}: expected inference in float32, found {mode} in {config.precision}")
    x = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "net.onnx"
        export(torch, build(torch, config.model, classes).eval(), torch.from_numpy(x), file)
        begin = time.perf_counter()
        call = (_onnxruntime if runtime == "onnxruntime" else _openvino)(file, x)
    call()
    return Candidate(
        runtime,
        call,
        lambda result: result,
        {"compile_seconds": time.perf_counter() - begin, "peak_memory_bytes": None},
    )


def export(torch: Any, net: Any, x: Any, file: Path) -> None:
    """Write PyTorch's export of a network, quietly, as one file."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(None):
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(net, (x,), str(file), dynamo=True, external_data=False, verbose=False)


def _onnxruntime(file: Path, x: np.ndarray) -> Any:
    import onnxruntime  # pyright: ignore[reportMissingImports]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    (name,) = (value.name for value in session.get_inputs())
    return lambda: session.run(None, {name: x})


def _openvino(file: Path, x: np.ndarray) -> Any:
    import openvino  # pyright: ignore[reportMissingImports]

    core = openvino.Core()
    # In float32, as the others: by default it may choose bfloat16.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(core.read_model(str(file)), "CPU", settings).create_infer_request()
    return lambda: request.infer([x], share_inputs=True)
