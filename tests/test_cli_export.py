from pathlib import Path
from unittest.mock import create_autospec

import pytest

from jaxnext.cli import export as command
from jaxnext.cli.export import Arguments, parse
from jaxnext.cli.invocation import Invocation
from jaxnext.errors import UsageError
from jaxnext.weights import export

INSTALLED = Invocation()


def test_options() -> None:
    read = parse(["run", "--output", "a/model.safetensors"], INSTALLED)
    assert read == Arguments(Path("run"), "best", Path("a/model.safetensors"), "safetensors", None)
    argv = "--output model.pth --which last --classes names.txt run"
    expected = Arguments(Path("run"), "last", Path("model.pth"), "pth", Path("names.txt"))
    assert parse(argv.split(), INSTALLED) == expected


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ("--output x.pth", "RUN is missing: give the folder of a run or of a ported checkpoint"),
        ("run", "--output is missing: give a file that ends in .safetensors or .pth"),
        ("run --output x.onnx", "--output: expected a file that ends in .safetensors or .pth, found x.onnx"),
        ("run --output pth", "--output: expected a file that ends in .safetensors or .pth, found pth"),
        ("run --output x.pth --which every", "--which: expected one of best, last, found 'every'"),
        ("run --output x.pth --classes x.pth", "--classes: expected another file than --output, found x.pth"),
        ("run --output=", "--output: expected a value, found an empty one"),
        ("run --output x.pth --classes=", "--classes: expected a value, found an empty one"),
        ("run other --output x.pth", "unexpected argument 'other'"),
    ],
)
def test_mistakes(argv: str, sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(argv.split(), INSTALLED)
    assert str(error.value) == sentence


def test_it_compares_files_and_not_their_spellings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    for other in (tmp_path / "q.pth", "./q.pth", "link/q.pth"):
        with pytest.raises(UsageError) as error:
            parse(["run", "--output", "q.pth", "--classes", str(other)], INSTALLED)
        assert str(error.value) == f"--classes: expected another file than --output, found {Path(other)}"
    assert parse(["run", "--output", "q.pth", "--classes", "q.txt"], INSTALLED).classes == Path("q.txt")


def test_it_calls_export_weights(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    double = create_autospec(export.export_weights)
    monkeypatch.setattr(export, "export_weights", double)
    argv = ["run", "--which", "last", "--output", "net.pth", "--classes", "names.txt"]
    assert command.run(argv, INSTALLED) == 0
    arguments, options = double.call_args
    assert arguments == (Path("run"), "last", Path("net.pth"), "pth", Path("names.txt"))
    options.pop("say")("good")
    assert options == {}
    assert tuple(capsys.readouterr()) == ("good\n", "")
