import shlex
import sys
from pathlib import Path

import pytest

from jaxnext.cli.invocation import Invocation
from jaxnext.cli.main import commands

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
SCRIPT = Invocation("train.py", is_script=True)


def test_how_a_command_is_called() -> None:
    assert [Invocation().usage(name) for name in ("train", "port")] == ["jaxnext train", "jaxnext port"]
    assert SCRIPT.usage("port") == "python scripts/port_weights.py"
    assert SCRIPT.usage("train") == "python scripts/train.py"


@pytest.mark.parametrize("name", commands())
def test_every_command_has_its_script(name: str) -> None:
    script = SCRIPTS / SCRIPT.usage(name).removeprefix("python scripts/")
    assert f'call("{name}")' in script.read_text()


@pytest.mark.parametrize(
    ("argv", "options"),
    [
        (["--config", "fc"], "--config fc --resume auto"),
        (["--config", "fc", "--data.path", "my data"], "--config fc --data.path 'my data' --resume auto"),
        (["--resume", "auto", "--config", "fc"], "--resume auto --config fc"),
        (["--config", "fc", "--resume=auto"], "--config fc --resume=auto"),
    ],
)
def test_the_command_that_resumes(argv: list[str], options: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert SCRIPT.resume_command(argv) == f"{shlex.quote(sys.executable)} train.py {options}"
    assert Invocation("/my env/bin/jaxnext").resume_command(argv) == f"'/my env/bin/jaxnext' train {options}"


def test_the_command_that_resumes_in_an_activated_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = Path(sys.executable)
    installed = tmp_path / "jaxnext"
    installed.touch(0o755)
    monkeypatch.setenv("PATH", f"{python.parent}:{tmp_path}")
    assert SCRIPT.resume_command([]) == f"{python.name} train.py --resume auto"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Invocation(str(installed)).resume_command([]) == "jaxnext train --resume auto"


def test_the_command_that_resumes_what_was_launched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    launched = Invocation("/bin/jaxnext", launch=("--processes=2", "--restarts=0"))
    argv = ["--config", "fc", "--coordinator_address", "127.0.0.1:7", "--num_processes", "2", "--process_id", "0"]
    expected = "/bin/jaxnext launch --processes=2 --restarts=0 -- train --config fc --resume auto"
    assert launched.resume_command(argv) == expected
    assert launched.resume_command([*argv[2:], "--config", "fc"]) == expected
