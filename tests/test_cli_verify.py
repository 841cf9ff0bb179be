from pathlib import Path

import pytest

from jaxnext.cli import verify
from jaxnext.cli.invocation import Invocation
from jaxnext.errors import UsageError


def test_arguments() -> None:
    assert verify.parse(["runs/a"], Invocation()) == verify.Arguments(Path("runs/a"))
    with pytest.raises(UsageError) as error:
        verify.parse([], Invocation())
    assert str(error.value) == ("PATH is missing: give the folder of a run, of packed data or of a cache, or an export")


def test_the_command(run, capsys) -> None:
    assert verify.run([str(run)], Invocation()) == 0
    assert "/checkpoints/best/" in capsys.readouterr().out
