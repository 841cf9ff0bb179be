import json
from pathlib import Path
from unittest.mock import create_autospec

import numpy as np
import pytest
from predicted import predictions

from jaxnext.cli import evaluate as command
from jaxnext.cli.evaluate import Arguments, parse
from jaxnext.cli.invocation import Invocation
from jaxnext.data.image_source import MemorySource
from jaxnext.errors import UsageError
from jaxnext.inference import classifier
from jaxnext.inference import evaluate as evaluation

INSTALLED = Invocation()


def test_options() -> None:
    assert parse(["--checkpoint", "run"], INSTALLED) == Arguments(
        checkpoint=[Path("run")], which="best", data=None, batch_size=16, workers=None, compilation_cache=None
    )
    assert parse(["--checkpoint", "run", "--output", "d"], INSTALLED).output == Path("d")
    argv = "--checkpoint run --which last --data a b.zip --batch_size 3 --workers 1 --compilation_cache false"
    run, data = Path("run"), [Path("a"), Path("b.zip")]
    assert parse(argv.split(), INSTALLED) == Arguments(
        checkpoint=[run], which="last", data=data, batch_size=3, workers=1, compilation_cache=False
    )


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ("a --checkpoint x", "unexpected argument 'a'"),
        ("--checkpoint x --data=", "--data: expected a path, found an empty one"),
    ],
)
def test_mistakes(argv: str, sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(argv.split(), INSTALLED)
    assert str(error.value) == sentence


def test_it_prints_the_report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    trained = create_autospec(classifier.TrainedClassifier)
    trained.return_value.classes = ("cat", "dog")
    evaluate = create_autospec(evaluation.evaluate)
    report = create_autospec(evaluation.report, return_value="the report")
    monkeypatch.setattr(classifier, "TrainedClassifier", trained)
    monkeypatch.setattr(evaluation, "evaluate", evaluate)
    monkeypatch.setattr(evaluation, "report", report)
    assert command.run(["--checkpoint", "run", "--data", "a"], INSTALLED) == 0
    assert evaluate.call_args.args == (trained.return_value, [Path("a")])
    assert report.call_args.args == (evaluate.return_value, ("cat", "dog"))
    assert capsys.readouterr().out == "the report\n"


def test_files_are_written_where_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    found = evaluation.Evaluated(predictions(), MemorySource((), (), np.zeros(0, np.int32), ()), np.arange(200))
    predict = create_autospec(evaluation.predict_labelled, return_value=found)
    monkeypatch.setattr(classifier, "TrainedClassifier", create_autospec(classifier.TrainedClassifier))
    classifier.TrainedClassifier.return_value.classes = found.predictions.classes
    monkeypatch.setattr(evaluation, "predict_labelled", predict)
    output = tmp_path / "files"
    assert command.run(["--checkpoint", "run", "--output", str(output)], INSTALLED) == 0
    assert predict.call_args.args[1] is None
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "images           200"
    assert said[-1] == f"{output}: predictions.csv, per_class.csv, confusion.csv, confusion.png, metrics.json"
    assert json.loads((output / "metrics.json").read_text())["images"] == 200
    with pytest.raises(UsageError, match=r"^--output: expected the name of a folder, found the file .*metrics\.json$"):
        parse(["--checkpoint", "run", "--output", str(output / "metrics.json")], INSTALLED)
