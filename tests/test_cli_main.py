import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from jaxnext.cli.main import commands, console, main
from jaxnext.errors import JaxnextError, UsageError

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = sorted(
    file.stem for file in (ROOT / "jaxnext" / "cli").glob("*.py") if "\ndef run(argv: " in file.read_text()
)


def test_main_passes_arguments_and_status() -> None:
    assert main(lambda a, b: a + b, 3, 4) == 7


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (JaxnextError("it failed"), 1, "it failed"),
        (UsageError("it failed"), 2, "it failed"),
        (PermissionError(13, "Permission denied", "/locked/runs"), 1, "/locked/runs: Permission denied"),
        (PermissionError(1, "Operation not permitted"), 1, "Operation not permitted"),
        (PermissionError("not for you"), 1, "not for you"),
        (OSError(28, "No space left on device", "/full/out"), 1, "/full/out: No space left on device"),
    ],
)
def test_what_the_user_did_is_one_sentence(error: Exception, status: int, sentence: str, capsys: Any) -> None:
    assert main(MagicMock(side_effect=error)) == status
    assert tuple(capsys.readouterr()) == ("", f"error: {sentence}\n")


def test_ctrl_c_is_quiet(capsys: Any) -> None:
    assert main(MagicMock(side_effect=KeyboardInterrupt)) == 130
    assert tuple(capsys.readouterr()) == ("", "")


@pytest.mark.parametrize(
    "error", [ValueError, BrokenPipeError, FileNotFoundError(2, "No such file or directory", "/a")]
)
def test_a_defect_keeps_its_traceback(error: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # A broken pipe of something else than the output, such as a worker process, is a defect too.
    with (tmp_path / "output").open("w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        monkeypatch.setattr(sys, "stderr", output)
        with pytest.raises(error if isinstance(error, type) else type(error)):
            main(MagicMock(side_effect=error))


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_pipe_is_quiet(tmp_path: Path, unbuffered: str) -> None:
    # true never reads, and the sleep lets it end first.
    code = (
        "import time, sys; from jaxnext.cli.main import main\ndef show():\n time.sleep(0.5)\n print('x')\n return 0\n"
    )
    code += "sys.exit(main(show))"
    line = f'"{sys.executable}" -c "{code}" | true; echo "${{PIPESTATUS[0]}}"'
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered}
    result = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("1\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_to_a_full_disk_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(lambda: print("x") or 0) == 1
        # Nothing is left for the end of the process.
        full.flush()
    assert capsys.readouterr().err == "error: standard output: No space left on device\n"


def call(*argv: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["jaxnext", *argv])
    return console()


def test_help_lists_the_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(commands()) == COMMANDS
    assert call("--help", monkeypatch=monkeypatch) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "usage: jaxnext COMMAND [OPTIONS]"
    assert [line.split()[0] for line in lines if line.startswith("  ")] == COMMANDS
    (predict,) = (line for line in lines if line.startswith("  predict "))
    assert predict.split(maxsplit=1)[1] == "write the predicted class of each image to a CSV file"


def test_a_new_file_is_a_new_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "main.py").write_text('"""The command ``jaxnext``."""')
    (tmp_path / "sort.py").write_text('"""``jaxnext sort``: move images into folders."""')
    monkeypatch.setattr("jaxnext.cli.main.__file__", str(tmp_path / "main.py"))
    assert commands() == {"sort": "move images into folders"}


def test_the_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--version", monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out == "jaxnext 0.1.0\n"


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "a command is missing: give one of {}; jaxnext --help explains them"),
        ([""], "unknown command '': expected one of {}"),
        (["trian", "--help"], "unknown command 'trian': expected one of {}"),
        (["console"], "unknown command 'console': expected one of {}"),
        (["train", "--epochs", "3"], "--config is missing: give one of "),
    ],
)
def test_mistakes(argv: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    assert call(*argv, monkeypatch=monkeypatch) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {sentence.format(', '.join(COMMANDS))}")
    assert err.count("\n") == 1


def test_a_missing_requirement_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    missing = MagicMock(side_effect=ModuleNotFoundError("No module named 'jax'", name="jax.numpy"))
    monkeypatch.setattr("jaxnext.cli.train.run", missing)
    assert call("train", monkeypatch=monkeypatch) == 1
    python = sys.executable
    assert capsys.readouterr().err == f"error: jax is not installed for {python}; install jaxnext with pip again\n"
    monkeypatch.setattr("jaxnext.cli.train.run", MagicMock(side_effect=ModuleNotFoundError(name="jaxnext.lost")))
    with pytest.raises(ModuleNotFoundError):
        call("train", monkeypatch=monkeypatch)


SLOW = {"jax", "flax", "optax", "orbax", "grain", "torch", "sklearn", "scipy", "matplotlib", "numpy", "PIL", "tqdm"}


@pytest.mark.parametrize("argv", [["--help"], *([name, "--help"] for name in COMMANDS)], ids=lambda argv: argv[0])
def test_help_is_instant(argv: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom jaxnext.cli.main import console\n"
        "try:\n    console()\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    )
    # Processor time of that process alone, which other work on the machine hardly changes: 0.1 to 0.2 s when written.
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        command = [sys.executable, "-c", code, *argv]
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert usage.ru_utime + usage.ru_stime < 1
    assert (tmp_path / "out").read_text().startswith("usage: jaxnext ")
    assert not SLOW & set((tmp_path / "err").read_text().split())
