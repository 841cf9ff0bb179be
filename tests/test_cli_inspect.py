from pathlib import Path

import numpy as np
import pytest
from torch_writer import save_zip

from jaxnext.cli import inspect
from jaxnext.cli.invocation import Invocation
from jaxnext.errors import UsageError


def test_arguments() -> None:
    assert inspect.parse(["net.pth"], Invocation()) == inspect.Arguments(Path("net.pth"), tensors=False)
    assert inspect.parse(["net.pth", "--tensors", "true"], Invocation()).tensors
    with pytest.raises(UsageError, match=r"^FILE is missing: give a weight file$"):
        inspect.parse([], Invocation())


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = save_zip(tmp_path / "net.pth", {"x": np.zeros(3, np.float32)})
    assert inspect.run([str(path)], Invocation()) == 0
    assert capsys.readouterr().out.startswith(f"{path}: ")
