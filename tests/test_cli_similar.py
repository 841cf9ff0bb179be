from pathlib import Path
from unittest.mock import create_autospec

import pytest

from jaxnext.cli import similar as command
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.similar import Arguments, parse
from jaxnext.errors import UsageError
from jaxnext.inference import classifier, similar

INSTALLED = Invocation()


def test_options() -> None:
    argv = "run --data a b.zip --query q.jpg r.jpg --count 5 --output o.html --which last --batch_size 2 --workers 0"
    assert parse(argv.split(), INSTALLED) == Arguments(
        checkpoint=[Path("run")],
        which="last",
        data=[Path("a"), Path("b.zip")],
        query=[Path("q.jpg"), Path("r.jpg")],
        count=5,
        output=Path("o.html"),
        batch_size=2,
        workers=0,
        compilation_cache=None,
    )
    found = parse("run --data a --query q.jpg".split(), INSTALLED)  # noqa: SIM905
    assert (found.count, found.output, found.which) == (12, Path("similar.html"), "best")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ("--data a --query q.jpg", "RUN: expected the folder of one run, found 0"),
        ("one two --data a --query q.jpg", "RUN: expected the folder of one run, found 2"),
        ("run --query q.jpg", "--data is missing: give a folder of images"),
        ("run --data a", "--query is missing: give image files whose like are looked for"),
        ("run --data a --query q.jpg --count 0", "--count: expected at least 1, found 0"),
        ("run --data a --query q.jpg --output .", "--output: expected the name of a file, found the folder ."),
    ],
)
def test_mistakes(argv: str, sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(argv.split(), INSTALLED)
    assert str(error.value) == sentence


def test_it_calls_find_similar(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = create_autospec(classifier.TrainedClassifier)
    found = create_autospec(similar.find_similar, return_value=1)
    monkeypatch.setattr(classifier, "TrainedClassifier", trained)
    monkeypatch.setattr(similar, "find_similar", found)
    argv = "run --data a --query q.jpg"
    assert command.run(argv.split(), INSTALLED) == 1
    assert found.call_args.args == (trained.return_value, [Path("a")], [Path("q.jpg")], 12, Path("similar.html"))
    assert found.call_args.kwargs["batch_size"] == 16
