from pathlib import Path
from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest

from jaxnext.cli import sort as command
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.sort import Arguments, parse
from jaxnext.errors import UsageError
from jaxnext.inference import classifier
from jaxnext.inference.sorting import sort, undo

INSTALLED = Invocation()


def test_defaults() -> None:
    assert parse(["run", "--data", "a", "--output", "out"], INSTALLED) == Arguments(
        checkpoint=[Path("run")],
        which="best",
        data=[Path("a")],
        output=Path("out"),
        mode="copy",
        threshold=None,
        batch_size=16,
        workers=None,
        compilation_cache=None,
    )


def test_options() -> None:
    argv = "run --data a b.zip --output out --mode move --threshold 0.5 --which last --batch_size 2"
    found = parse(argv.split(), INSTALLED)
    assert isinstance(found, Arguments)
    assert (found.data, found.mode, found.threshold, found.which) == ([Path("a"), Path("b.zip")], "move", 0.5, "last")
    assert parse(["--undo", "out"], INSTALLED) == Path("out")
    assert parse(["--undo=out"], INSTALLED) == Path("out")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ("--data a --output o", "RUN is missing: give the folder of a run or of a ported checkpoint"),
        ("run --output o", "--data is missing: give a folder of images, or image files"),
        ("run --data a", "--output is missing: give the folder that receives a folder for each class"),
        ("run --data a --output o --mode steal", "--mode: expected one of copy, link, move, found 'steal'"),
        ("run --undo out", "--undo: expected the folder of an earlier sort alone, found run with it"),
        ("--undo out --mode move", "--undo: expected the folder of an earlier sort alone, found --mode with it"),
    ],
)
def test_mistakes(argv: str, sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(argv.split(), INSTALLED)
    assert str(error.value) == sentence


def test_it_calls_sort_images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trained = create_autospec(classifier.TrainedClassifier)
    trained.return_value.members = [SimpleNamespace(meta=SimpleNamespace(epoch=3), temperature=1.0)]
    called = create_autospec(sort.sort_images, return_value=1)
    monkeypatch.setattr(classifier, "TrainedClassifier", trained)
    monkeypatch.setattr(sort, "sort_images", called)
    run = tmp_path / "run"
    assert (
        command.run([str(run), *["--data", "a", "--output", "out", "--mode", "link", "--tta", "flips"]], INSTALLED) == 1
    )
    assert called.call_args.args == (trained.return_value, [Path("a")], Path("out"))
    options = called.call_args.kwargs
    assert (options["mode"], options["threshold"], options["tta"]) == ("link", None, {"type": "flips"})
    assert options["options"] == {
        "checkpoint": [str(run)],
        "which": "best",
        "epoch": [3],
        "ensemble": "probabilities",
        "image_size": None,
        "tta": {"type": "flips"},
        "temperature": [1.0],
    }


def test_it_calls_undo(monkeypatch: pytest.MonkeyPatch) -> None:
    called = create_autospec(undo.undo, return_value=1)
    monkeypatch.setattr(undo, "undo", called)
    assert command.run(["--undo", "out"], INSTALLED) == 1
    assert called.call_args.args == (Path("out"),)
