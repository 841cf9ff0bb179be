import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import pytest
import several_processes
from ends import Left
from test_processes import Memory

from jaxnext import compat
from jaxnext.cli import distributed as cli_distributed
from jaxnext.cli import main as cli
from jaxnext.cli.distributed import Distributed, together
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.training.processes import Processes


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """Two processes that have found each other; this one is the second, and the first waits for it at the end."""
    store = Memory(1)
    monkeypatch.setattr(cli_distributed, "_initialize", lambda how, seconds: None)
    monkeypatch.setattr(compat, "coordination", lambda: (store, 1, 2))
    monkeypatch.setattr(jax.distributed, "shutdown", lambda: store.key_value_set("shut down", "in order"))
    return store


def others(values: dict[str, str]) -> dict[str, str]:
    """What is kept beside the signs of life."""
    return {key: value for key, value in values.items() if not key.startswith("jaxnext/alive/")}


def test_an_orderly_end(connected: Memory, ended: list[Any]) -> None:
    seen = []

    def command(processes: Processes) -> int:
        seen.append((processes.index, processes.count, processes.store))
        return 130

    assert together(Distributed(), command, cli.main) == 130
    assert seen == [(1, 2, connected)]
    assert others(connected.values) == {"shut down": "in order"}
    assert list(connected.barriers) == ["jaxnext/barrier/1"]
    assert ended == []
    assert signal.getsignal(signal.SIGCONT) is signal.SIG_DFL


@pytest.mark.parametrize(
    ("error", "status", "told", "said"),
    [
        (JaxnextError("no disk"), 1, "no disk", "error: no disk\n"),
        (UsageError("no such split"), 2, "no such split", "error: no such split\n"),
        (KeyboardInterrupt(), 130, "KeyboardInterrupt", ""),
        (ZeroDivisionError("7"), 1, "ZeroDivisionError", r"(?s)Traceback.*ZeroDivisionError: 7\n"),
        (
            jax.errors.JaxRuntimeError("UNKNOWN: Gloo failed\nat a.cc"),
            1,
            "the computation with the other processes has failed (UNKNOWN: Gloo failed); process 0 gives no sign of "
            "life; start all again with --resume auto",
            r"error: the computation with the other processes .*\n",
        ),
    ],
)
def test_an_error_is_told_and_ends_the_process(
    error: BaseException, status: int, told: str, said: str, connected: Memory, ended: list[Any], capsys: Any
) -> None:
    def command(processes: Processes) -> int:
        raise error

    with pytest.raises(Left):
        together(Distributed(), command, cli.main)
    assert ended == [("MainThread", status)]
    expected = {"jaxnext/failed": f"process 1 has ended: {told}", "jaxnext/left/1": "yes"}
    assert others(connected.values) == expected
    assert re.fullmatch(said, capsys.readouterr().err)


def test_a_port_in_use() -> None:
    with socket.create_server(("", 0)) as server:
        address = f"localhost:{server.getsockname()[1]}"
        with pytest.raises(JaxnextError) as error:
            together(Distributed(address, 2, 0), lambda processes: 0, cli.main)
    port = address.partition(":")[2]
    sentence = f"--coordinator_address {address}: process 0 cannot listen on port {port} (Address already in use)"
    assert str(error.value) == f"{sentence}; give another"


def test_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    def initialize(**options: Any) -> None:
        assert options["heartbeat_timeout_seconds"] == 7 * 24 * 3600
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(UsageError) as error:
        together(Distributed(), lambda processes: 0, cli.main)
    assert str(error.value) == (
        "--distributed true: JAX has found no cluster around this process (coordinator_address should be defined.); "
        "give --coordinator_address HOST:PORT --num_processes N --process_id I"
    )
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_a_process_that_nobody_joins(index: int, tmp_path: Path) -> None:
    address = f"localhost:{several_processes.free_port()}"
    code = (
        "from jaxnext.cli.main import main\n"
        "from jaxnext.cli.distributed import Distributed, together\n"
        f"together(Distributed({address!r}, 2, {index}), None, main, connect_seconds=1.5)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=several_processes.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.returncode == 1
    assert found.stderr == (
        f"error: not all processes have come together at {address} in 1.5 s; start all of them, with the same address "
        "and number\n"
    )
