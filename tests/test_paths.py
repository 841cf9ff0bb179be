from pathlib import Path

import pytest

from jaxnext.cli import check, evaluate, export, port, predict, prepare, train
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.paths import optional_path, path
from jaxnext.config.packaged import configs_folder
from jaxnext.errors import UsageError

HOW, CONFIGS = Invocation(), configs_folder()


def test_a_path() -> None:
    assert path("--output", "a/b") == Path("a/b")
    assert optional_path("--output", None) is None
    with pytest.raises(UsageError, match=r"^--output: expected a path, found an empty one$"):
        optional_path("--output", "")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a" * 300, f"expected a path that is not too long for the system, found {'a' * 80}..."),
        ("a\0b", "expected a path, found one with a null character: 'a\\x00b'"),
    ],
)
def test_paths_that_no_system_has(text: str, sentence: str) -> None:
    calls = {
        "RUN": lambda: export.parse([text, "--output", "q.pth"], HOW),
        "--output": lambda: export.parse(["run", "--output", f"{text}.pth"], HOW),
        "--classes": lambda: export.parse(["run", "--output", "q.pth", "--classes", text], HOW),
        "SOURCE": lambda: port.parse([text, "--config", "fc", "--output", "x"], HOW, CONFIGS),
        "--output ": lambda: port.parse(["x", "--config", "fc", "--output", text], HOW, CONFIGS),
        "--output  ": lambda: train.parse(["--config", "fc", "--output", text], HOW, CONFIGS),
        "--checkpoint": lambda: evaluate.parse(["--checkpoint", text], HOW),
        "--data": lambda: predict.parse(["--checkpoint", "run", "--data", text], HOW),
        "DATA": lambda: check.parse([text], HOW, CONFIGS),
        "--output   ": lambda: check.parse(["x", "--output", text], HOW, CONFIGS),
        "DATA ": lambda: prepare.parse([text, "--output", "x"], HOW),
    }
    for option, call in calls.items():
        with pytest.raises(UsageError) as error:
            call()
        assert str(error.value).replace(".pth'", "'") == f"{option.strip()}: {sentence}"
