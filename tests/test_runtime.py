"""What the installed onnxruntime takes."""

import sys

import onnx_programs
import pytest

from jaxnext.errors import UsageError
from jaxnext.inference.onnx import runtime


def test_the_newest_that_are_taken_are_at_least_those_of_2024() -> None:
    assert onnx_programs.BATCH == "batch"
    assert runtime.newest_opset() >= 21
    assert runtime.newest_ir_version() >= 10
    assert runtime._takes(runtime.newest_opset(), runtime.newest_ir_version())
    assert not runtime._takes(runtime.newest_opset(), 1000)


def test_a_missing_library_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError) as error:
        runtime.library("onnxruntime", "--format onnx")
    assert str(error.value) == (
        "--format onnx: needs onnxruntime: pip install 'jaxnext[onnx]' (or pip install onnxruntime)"
    )
