from pathlib import Path
from unittest.mock import create_autospec

import pytest

from jaxnext.cli import export as command
from jaxnext.cli.export import Arguments, parse
from jaxnext.cli.invocation import Invocation
from jaxnext.errors import UsageError
from jaxnext.inference import export
from jaxnext.inference.exporter import FORMATS
from jaxnext.inference.exporters import stablehlo

INSTALLED = Invocation()
SUFFIXES = ", ".join(f".{name}" for name in FORMATS.names())


def test_the_format_is_that_of_the_suffix() -> None:
    for name in ("pth", "safetensors", "stablehlo"):
        read = parse(["run", "--output", f"a/model.{name}"], INSTALLED)
        assert read == Arguments(checkpoint=Path("run"), output=Path(f"a/model.{name}"), format=FORMATS.choose(name))


def test_options() -> None:
    argv = "--output=net --format stablehlo --format.values probabilities --which last --classes names.txt run"
    argv += " --images a b.jpg --images c --temperature 1.5 --overwrite true"
    assert parse(argv.split(), INSTALLED) == Arguments(
        checkpoint=Path("run"),
        output=Path("net"),
        format=FORMATS.choose("stablehlo", values="probabilities"),
        which="last",
        temperature=1.5,
        images=[Path("a"), Path("b.jpg"), Path("c")],
        classes=Path("names.txt"),
        overwrite=True,
    )
    assert parse(["run", "--output", "x.pth", "--format", "safetensors"], INSTALLED).format.type == "safetensors"
    assert parse(["run", "--output", "x.pth", "--temperature", "calibrated"], INSTALLED).temperature == "calibrated"


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ("--output x.pth", "RUN is missing: give the folder of a run or of a ported checkpoint"),
        ("run", "--output is missing: give the file or folder to write"),
        ("run --output x.h5", f"--output: expected --format with it, or a name that ends in {SUFFIXES}, found x.h5"),
        ("run --output pth", f"--output: expected --format with it, or a name that ends in {SUFFIXES}, found pth"),
        ("run --output x.pth --which every", "--which: expected one of best, last, found 'every'"),
        ("run --output x.pth --classes x.pth", "--classes: expected another file than --output, found x.pth"),
        ("run --output=", "--output: expected a value, found an empty one"),
        ("run --output x.pth --classes=", "--classes: expected a value, found an empty one"),
        ("run other --output x.pth", "unexpected argument 'other'"),
        ("run --output x.pth --format.values logits", "unknown option --format.values: pth has no options"),
        (
            "run --output x.stablehlo --format.values labels",
            "--format.values: expected one of logits, probabilities, found 'labels'",
        ),
    ],
)
def test_mistakes(argv: str, sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(argv.split(), INSTALLED)
    assert str(error.value) == sentence


def test_no_such_format() -> None:
    with pytest.raises(UsageError, match=r"^--format: expected one of .*, found 'stablehl'; did you mean stablehlo\?$"):
        parse(["run", "--output", "x", "--format", "stablehl"], INSTALLED)


def test_it_compares_files_and_not_their_spellings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    for other in (tmp_path / "q.pth", "./q.pth", "link/q.pth"):
        with pytest.raises(UsageError) as error:
            parse(["run", "--output", "q.pth", "--classes", str(other)], INSTALLED)
        assert str(error.value) == f"--classes: expected another file than --output, found {Path(other)}"
    assert parse(["run", "--output", "q.pth", "--classes", "q.txt"], INSTALLED).classes == Path("q.txt")


def test_it_calls_export(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    double, read = create_autospec(export.export), create_autospec(export.read_net)
    monkeypatch.setattr(export, "export", double)
    monkeypatch.setattr(export, "read_net", read)
    argv = ["run", "--which", "last", "--output", "net.stablehlo", "--classes", "names.txt", "--temperature", "2"]
    assert command.run(argv, INSTALLED) == 0
    assert read.call_args.args == (Path("run"), "last", 2.0)
    arguments, options = double.call_args
    assert arguments == (read.return_value, stablehlo.Exporter("logits"), Path("net.stablehlo"))
    options.pop("say")("good")
    options.pop("warn")("odd")
    assert options == {"images": None, "classes": Path("names.txt"), "overwrite": False}
    said, warned = capsys.readouterr()
    assert (said, warned.strip().rpartition(" ")[2]) == ("good\n", "odd")
