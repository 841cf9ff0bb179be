import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pytest
from asgi import FakeNet

from jaxnext.cli import serve as command
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.serve import Arguments, parse
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.inference import classifier
from jaxnext.inference.serving import server
from jaxnext.inference.serving.limits import Limits

INSTALLED = Invocation()


def test_options() -> None:
    assert parse(["run"], INSTALLED) == Arguments(
        checkpoint=[Path("run")],
        which="best",
        batch_size=16,
        workers=None,
        compilation_cache=None,
        host="127.0.0.1",
        port=8000,
        wait_ms=4.0,
        threshold=None,
        explain=True,
        allowed_hosts=None,
        stop_seconds=10.0,
        limits=Limits(),
    )
    options = [
        "--rate",
        "2.5",
        "--max_files",
        "3",
        "--allowed_hosts",
        "[cats.example]",
        "--port",
        "0",
        "--threshold",
        "calibrated",
    ]
    found = parse(["run", *options], INSTALLED)
    assert (found.limits.rate, found.limits.max_files, found.allowed_hosts) == (2.5, 3, ("cats.example",))
    assert (found.port, found.threshold) == (0, "calibrated")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "RUN is missing: give the folder of a run"),
        (["a", "b"], "RUN: expected the folder of one run, found 2"),
        (["a", "--port", "65536"], "--port: expected at most 65535, found 65536"),
        (["a", "--wait_ms", "-1"], "--wait_ms: expected a number from 0 to 10000, found -1"),
        (["a", "--rate", "0"], "--rate: expected a number above 0, found 0"),
        (["a", "--queue", "0"], "--queue: expected at least 1, found 0"),
        (["a", "--queue", "5"], "--queue: expected at least --max_files, which is 32, found 5"),
    ],
)
def test_mistakes(argv: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(argv, INSTALLED)
    assert str(error.value) == sentence


def test_a_port_in_use_is_said_before_the_net_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "TrainedClassifier", None)
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(JaxnextError) as error:
        command.run(["run", "--port", str(other.getsockname()[1])], INSTALLED)
    assert "the address cannot be opened (Address already in use)" in str(error.value)


def test_a_library_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(JaxnextError, match=r"the library uvicorn, .* pip install 'jaxnext\[serve\]'"):
        command.run(["run"], INSTALLED)


def test_it_warms_and_serves(monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path) -> None:
    class Net(FakeNet):
        has_spatial_map = True

        @property
        def members(self) -> tuple[Any, ...]:
            return (self,)

    trained = create_autospec(classifier.TrainedClassifier)
    trained.return_value = net = Net()
    calls = []

    def serve(app: Any, service: Any, bound: Any, stop: Any, stop_seconds: float, ready: Any) -> None:
        assert (service.is_warm, service.methods, service.threshold) == (True, ("gradcam", "cbam"), 0.25)
        assert (stop(), stop_seconds) == (False, 3.0)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
        ready()
        calls.append(bound.getsockname()[1])

    monkeypatch.setattr(classifier, "TrainedClassifier", trained)
    monkeypatch.setattr(server, "serve", serve)
    monkeypatch.chdir(tmp_path)
    argv = [".", "--port", "0", "--threshold", "0.25", "--batch_size", "2", "--stop_seconds", "3"]
    assert command.run(argv, INSTALLED) == 0
    assert net.batches == [(1, 1), (2, 2)]
    assert capsys.readouterr().out == f"http://127.0.0.1:{calls[0]}/: {tmp_path.name} is served; Ctrl-C stops it\n"


def test_help_needs_no_library() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('starlette', 'uvicorn', 'python_multipart', 'jax')))\n"
        "from jaxnext.cli.invocation import Invocation\nfrom jaxnext.cli.serve import run\n"
        "run(['--help'], Invocation())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    assert "--max_pixels" in found.stdout
