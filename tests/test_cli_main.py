import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from jaxnext.cli import main as cli_main
from jaxnext.errors import JaxnextError, UsageError

ROOT = Path(__file__).resolve().parent.parent


def test_main_passes_arguments_and_status() -> None:
    assert cli_main.main(lambda a, b: a + b, 3, 4) == 7


@pytest.mark.parametrize(("error", "status"), [(JaxnextError("it failed"), 1), (UsageError("it failed"), 2)])
def test_what_the_user_did_is_one_sentence(error: JaxnextError, status: int, capsys: Any) -> None:
    assert cli_main.main(MagicMock(side_effect=error)) == status
    assert tuple(capsys.readouterr()) == ("", "error: it failed\n")


def test_ctrl_c_is_quiet(capsys: Any) -> None:
    assert cli_main.main(MagicMock(side_effect=KeyboardInterrupt)) == 130
    assert tuple(capsys.readouterr()) == ("", "")


@pytest.mark.parametrize("error", [ValueError, BrokenPipeError])
def test_a_defect_keeps_its_traceback(error: type[Exception], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # A broken pipe of something else than the output, such as a worker process, is a defect too.
    with (tmp_path / "output").open("w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        monkeypatch.setattr(sys, "stderr", output)
        with pytest.raises(error):
            cli_main.main(MagicMock(side_effect=error))


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_pipe_is_quiet(tmp_path: Path, unbuffered: str) -> None:
    # true never reads, and the sleep lets it end first.
    code = "import time, sys; from jaxnext import cli_main\ndef show():\n time.sleep(0.5)\n print('x')\n return 0\n"
    code += "sys.exit(cli_main.main(show))"
    line = f'"{sys.executable}" -c "{code}" | true; echo "${{PIPESTATUS[0]}}"'
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered}
    result = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("1\n", "")


def test_a_place_without_permission_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def locked() -> int:
        raise PermissionError(13, "Permission denied", "/locked/runs")

    assert cli_main.main(locked) == 1
    assert capsys.readouterr().err == "error: /locked/runs: Permission denied\n"
