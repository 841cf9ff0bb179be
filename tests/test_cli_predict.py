from pathlib import Path
from unittest.mock import create_autospec

import pytest

from jaxnext.cli import predict as command
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.predict import Arguments, parse
from jaxnext.errors import UsageError
from jaxnext.inference import classifier, predict

INSTALLED = Invocation()


def test_predict_defaults() -> None:
    assert parse(["--checkpoint", "run", "--data", "a"], INSTALLED) == Arguments(
        checkpoint=[Path("run")],
        which="best",
        data=[Path("a")],
        output=Path("prediction.csv"),
        probabilities=False,
        top_k=None,
        batch_size=16,
        workers=None,
        keep_extension=False,
        compilation_cache=None,
        names=None,
        image_column=None,
        submission_columns=("image_name", "pred_label"),
    )


def test_predict_options() -> None:
    argv = "--data a b --checkpoint run --which last --data c --output x.csv --probabilities true --top_k 3"
    argv += " --batch_size 2 --workers 0 --keep_extension true --compilation_cache false"
    argv += " --names n.csv --image_column x --submission_columns id,label --explain maps --explain_method cbam"
    argv += " --backend jax"
    assert parse(argv.split(), INSTALLED) == Arguments(
        checkpoint=[Path("run")],
        which="last",
        data=[Path("a"), Path("b"), Path("c")],
        output=Path("x.csv"),
        probabilities=True,
        top_k=3,
        batch_size=2,
        workers=0,
        keep_extension=True,
        compilation_cache=False,
        names=Path("n.csv"),
        image_column="x",
        submission_columns=("id", "label"),
        explain=Path("maps"),
        explain_method="cbam",
    )


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ("--checkpoint x", "--data is missing: give a folder of images, or image files"),
        ("--checkpoint x --data a --probabilities yes", "--probabilities: expected true or false, found 'yes'"),
        ("--checkpoint x --data a --top_k 0", "--top_k: expected at least 1, found 0"),
        (
            "--checkpoint x --data a --submission_columns id",
            "--submission_columns: expected two names such as id,label, found 'id'",
        ),
        (
            "--checkpoint x --data a --image_column id",
            "--image_column: expected --names with it, found 'id' alone",
        ),
        (
            "--checkpoint x --data a --explain_method cbam",
            "--explain_method: expected --explain with it, found 'cbam' alone",
        ),
        (
            "--checkpoint x y --data a --explain maps",
            "--explain: expected one folder after --checkpoint, found 2; explain one net at a time",
        ),
        (
            "--checkpoint x y --data a --embeddings e.npz",
            "--embeddings: expected one folder after --checkpoint, found 2; each net has its own",
        ),
        ("--checkpoint x --data a --topk 3", "unknown option --topk; did you mean --top_k?"),
        (
            "--checkpoint x --data a --threshold high",
            "--threshold: expected a number, calibrated or null, found 'high'",
        ),
        (
            "--checkpoint x --data a --energy true --tta flips",
            "--energy: expected one folder after --checkpoint, and no --tta; a mean has no energy",
        ),
    ],
)
def test_mistakes_of_predict(argv: str, sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(argv.split(), INSTALLED)
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--checkpoint", "x", "--data", "a", ""], "--data: expected a path, found an empty one"),
        (["--checkpoint", "x", "--data", "a", "--output="], "--output: expected a value, found an empty one"),
        (["--checkpoint", "x", "--data", "a", "--top_k", ""], "--top_k: expected a value, found an empty one"),
    ],
)
def test_empty_values(argv: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(argv, INSTALLED)
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("argv", "explanation"),
    [("", None), (" --explain maps", "gradcam"), (" --explain maps --explain_method cbam", "cbam")],
)
@pytest.mark.parametrize("status", [0, 1])
def test_it_calls_predict_to_csv(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, status: int, argv: str, explanation: str | None
) -> None:
    trained = create_autospec(classifier.TrainedClassifier)
    to_csv = create_autospec(predict.predict_to_csv, return_value=status)
    monkeypatch.setattr(classifier, "TrainedClassifier", trained)
    monkeypatch.setattr(predict, "predict_to_csv", to_csv)
    argv = "--checkpoint run --which last --data a b --top_k 2 --workers 1" + argv
    assert command.run(argv.split(), Invocation("predict.py", is_script=True)) == status
    assert trained.call_args.args == (Path("run"), "last")
    assert trained.call_args.kwargs == {
        "train_command": "python scripts/train.py",
        "image_size": None,
        "temperature": 1.0,
    }
    assert to_csv.call_args.args == (trained.return_value, [Path("a"), Path("b")], Path("prediction.csv"))
    options = dict(to_csv.call_args.kwargs)
    assert list(options.pop("progress")([1, 2, 3], 3)) == [1, 2, 3]
    options.pop("say")("good")
    options.pop("warn")("bad")
    assert tuple(capsys.readouterr()) == ("good\n", "bad\n")
    assert options.pop("cores") >= 1
    assert options == {"probabilities": False, "top_k": 2, "batch_size": 16, "workers": 1, "keep_extension": False} | {
        "table": None,
        "columns": ("image_name", "pred_label"),
        "tta": {"type": "none"},
        "embeddings": None,
        "explanation": explanation and (Path("maps"), explanation),
        "threshold": None,
        "energy": False,
    }
