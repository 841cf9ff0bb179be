import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from jaxnext.cli import launched
from jaxnext.cli.invocation import Invocation

INVOCATION = Invocation("scripts/launch.py", True, ("--processes=2",))


def test_the_command_finds_the_package_from_anywhere_and_nothing_else_beside_it(tmp_path: Path) -> None:
    (tmp_path / "yaml.py").write_text("raise SystemExit(9)")
    command = launched.command(["--config", "none", "--process_id", "1"], INVOCATION)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert found.returncode == 2
    assert found.stderr.startswith("error: ")
    assert "none" in found.stderr


@pytest.mark.parametrize(("index", "asked"), [("0", True), ("1", False)])
def test_the_first_one_is_asked_to_stop_where_the_launcher_has_ended(
    index: str, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def train(argv: list[str], invocation: Invocation) -> int:
        seen.append((argv, invocation))
        os.close(writing)
        deadline = time.monotonic() + (5 if asked else 0.2)
        while len(seen) == 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        return 7

    reading, writing = os.pipe()
    argv = ["--config", "fc", "--process_id", index]
    command = launched.command(argv, INVOCATION)
    assert json.loads(command[-1])[0] == argv
    monkeypatch.setattr(sys, "argv", ["-c", command[-1]])
    monkeypatch.setattr(launched.train, "run", train)
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with os.fdopen(reading) as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            assert launched.launched() == 7
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [(argv, INVOCATION)] + [signal.SIGTERM] * asked
