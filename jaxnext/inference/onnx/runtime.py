"""onnxruntime: what it takes, and models that it runs."""

import functools
import importlib
from typing import Any

from jaxnext.errors import UsageError

OLDEST_OPSET = 18
"""With it came the operations as they are used: axes of reductions as an input, ``Resize`` that antialiases."""


def library(name: str, option: str) -> Any:
    """Import onnx or onnxruntime.

    Args:
        name: of the package.
        option: that needs it, for the message.

    Raises:
        UsageError: it is not installed; says how to.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"{option}: needs {name}: pip install 'jaxnext[onnx]' (or pip install {name})") from error


def session(model: bytes, threads: int | None = None) -> Any:
    """Return an ``InferenceSession`` on the CPU.

    Args:
        model: a file's content.
        threads: that compute one operation; ``None``: one for each core.
    """
    onnxruntime = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # of warnings, which are about its own choices
    if threads is not None:
        options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@functools.cache
def newest_opset() -> int:
    """Return the newest version of ONNX's operations that the installed onnxruntime takes."""
    from onnx import defs

    versions = range(defs.onnx_opset_version(), OLDEST_OPSET, -1)
    return next((version for version in versions if _takes(version, 10)), OLDEST_OPSET)


@functools.cache
def newest_ir_version() -> int:
    """Return the newest version of the file format that the installed onnxruntime takes."""
    import onnx

    return next(version for version in range(onnx.IR_VERSION, 0, -1) if _takes(OLDEST_OPSET, version))


def _takes(opset: int, ir_version: int) -> bool:
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1,)) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "trial", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = ir_version
    try:
        session(model.SerializeToString())
    except Exception:
        return False
    return True
