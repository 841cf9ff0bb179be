"""Small processes of Python in place of trainings."""

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from jaxnext.cli import supervisor as cli_supervisor
from jaxnext.cli.supervisor import Supervisor


def command(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", f"import os, signal, sys, time\n{code}"]


def run(supervisor: Supervisor, *codes: str) -> list[int]:
    return supervisor.run([command(code) for code in codes], [{"NUMBER": str(i)} for i in range(len(codes))])


def test_the_first_one_speaks_and_errors_of_others_have_their_number(capfd: Any) -> None:
    say = "print('epoch 1 of', os.environ['NUMBER']); os.write(2, b'oh \\xe9\\n')"
    assert run(Supervisor(), "print('epoch 1')", say, say) == [0, 0, 0]
    found = capfd.readouterr()
    assert found.out == "epoch 1\n"
    assert sorted(found.err.splitlines()) == ["process 1: oh \\xe9", "process 2: oh \\xe9"]


def test_where_one_ends_with_an_error_the_others_may_say_why_and_are_ended(
    monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setattr(cli_supervisor, "_FAREWELL_SECONDS", 0.6)
    monkeypatch.setattr(cli_supervisor, "_POLL_SECONDS", 0.02)
    begun = time.monotonic()
    hears = "time.sleep(0.2); print('process 2 has ended', file=sys.stderr); sys.exit(1)"
    frozen = "os.kill(os.getpid(), signal.SIGSTOP); time.sleep(60)"
    assert run(Supervisor(), frozen, hears, "os.kill(os.getpid(), signal.SIGSEGV)") == [-9, 1, -11]
    assert time.monotonic() - begun < 10
    assert capfd.readouterr().err == "process 1: process 2 has ended\n"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_signal_goes_to_the_first_one_only(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_supervisor, "_POLL_SECONDS", 0.02)
    ready, over, supervisor = tmp_path / "ready", tmp_path / "over", Supervisor()
    number = signal.Signals[name]
    heeds = (
        f"signal.signal({int(number)}, lambda *_: (open({str(over)!r}, 'w'), sys.exit(130)))\n"
        f"open({str(ready)!r}, 'w')\ntime.sleep(60)"
    )
    follows = f"while not os.path.exists({str(over)!r}): time.sleep(0.01)\nsys.exit(130)"

    def send() -> None:
        while not ready.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    threading.Thread(target=send, daemon=True).start()
    before = signal.getsignal(number)
    with supervisor.forwarding():
        assert run(supervisor, heeds, follows) == [130, 130]
    assert supervisor.asked == number
    assert signal.getsignal(number) is before


def test_one_that_could_not_heed_a_signal_yet_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_supervisor, "_POLL_SECONDS", 0.02)
    supervisor, begun = Supervisor(), time.monotonic()
    supervisor.asked = signal.SIGTERM
    assert run(supervisor, "os.kill(os.getpid(), signal.SIGTERM)", "time.sleep(60)") == [-15, -9]
    assert time.monotonic() - begun < 5
