"""``--backend``: what is refused, and what ``auto`` says."""

import importlib.util
from types import SimpleNamespace
from typing import Any

import pytest

from jaxnext.cli import backend as command
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.predict import parse
from jaxnext.errors import UsageError
from jaxnext.inference.onnx import backend

NET = SimpleNamespace()
NET.members = (NET,)


def options(*more: str) -> Any:
    return parse(["--checkpoint", "run", "--data", "a", *more], Invocation())


def test_jax_unless_asked() -> None:
    assert options().backend == "jax"
    assert command.with_backend(NET, "jax", 16, None) is NET  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("installed", "batch_size", "backend"),
    [(True, "5", "jax"), (True, "4", "auto"), (False, "4", "jax"), (True, "1", "auto")],
)
def test_for_few_images_what_is_faster(
    installed: bool, batch_size: str, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if installed else None)
    assert options("--batch_size", batch_size).backend == backend
    assert options("--batch_size", batch_size, "--backend", "jax").backend == "jax"
    assert options("--batch_size", batch_size, "--energy", "true").backend == "jax"


@pytest.mark.parametrize(
    ("more", "other"),
    [
        (("--tta", "flips"), "--tta"),
        (("--energy", "true"), "--energy"),
        (("--checkpoint", "other"), "several checkpoints"),
    ],
)
def test_what_jax_alone_computes(more: tuple[str, ...], other: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError) as error:
        options("--backend", "onnxruntime", *more)
    assert str(error.value) == f"--backend onnxruntime: expected it without {other}, which JAX alone computes"
    assert options("--backend", "auto", *more).backend == "auto"
    assert command.with_backend(NET, "auto", 16, other) is NET  # pyright: ignore[reportArgumentType]
    assert capsys.readouterr().out == f"--backend auto: jax, which alone computes {other}\n"


def test_auto_says_which_is_faster(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(backend, "OnnxPredictor", lambda net, threads: "by onnxruntime")
    monkeypatch.setattr(backend, "faster", lambda *_: ("by onnxruntime", {"jax": 0.25, "onnxruntime": 0.125}))
    found: Any = command.with_backend(NET, "auto", 8, None)  # pyright: ignore[reportArgumentType]
    assert found == "by onnxruntime"
    assert capsys.readouterr().out == "--backend auto: onnxruntime (a batch of 8: jax 250 ms, onnxruntime 125 ms)\n"


def test_auto_without_onnxruntime_is_jax(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def missing(*_: Any) -> None:
        raise UsageError("--backend onnxruntime: needs onnx")

    monkeypatch.setattr(backend, "OnnxPredictor", missing)
    assert command.with_backend(NET, "auto", 8, None) is NET  # pyright: ignore[reportArgumentType]
    assert capsys.readouterr().out == "--backend auto: jax (--backend onnxruntime: needs onnx)\n"
    with pytest.raises(UsageError, match="needs onnx"):
        command.with_backend(NET, "onnxruntime", 8, None)  # pyright: ignore[reportArgumentType]
