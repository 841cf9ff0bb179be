from pathlib import Path

import pytest

from jaxnext.cli import verify
from jaxnext.cli.invocation import Invocation
from jaxnext.errors import UsageError


def test_arguments() -> None:
    assert verify.parse(["runs/a"], Invocation()) == verify.Arguments(Path("runs/a"))
    with pytest.raises(UsageError, match=r"^RUN is missing: give the folder of a run or of a ported checkpoint$"):
        verify.parse([], Invocation())


def test_the_command(run, capsys) -> None:
    assert verify.run([str(run)], Invocation()) == 0
    assert "/checkpoints/best/" in capsys.readouterr().out
