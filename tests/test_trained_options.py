from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, get_args, get_type_hints
from unittest.mock import create_autospec

import jax
import pytest

from jaxnext.cli import evaluate, predict
from jaxnext.cli import predict as command
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.trained_options import threshold_of
from jaxnext.config.sections import Config
from jaxnext.config.yaml_text import dump_config
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.inference import classifier, ensemble
from jaxnext.inference.calibration import Calibration
from jaxnext.inference.tta import TTA
from jaxnext.ops.cpu import onednn

INSTALLED = Invocation()


@pytest.mark.parametrize("module", [evaluate, predict], ids=["evaluate", "predict"])
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "--checkpoint is missing: give the folder of a run or of a ported checkpoint"),
        (["--checkpoint", "x", ""], "--checkpoint: expected a path, found an empty one"),
        (
            ["--checkpoint", "x", "--tta", "flip"],
            "--tta: expected one of none, five_crop, flips, found 'flip'; did you mean flips?",
        ),
        (["--checkpoint", "x", "--tta="], "--tta: expected a value, found an empty one"),
        (["--checkpoint", "x", "--tta.crop_share", "0.5"], "unknown option --tta.crop_share: none has no options"),
        (
            ["--checkpoint", "x", "--tta", "five_crop", "--tta.crop_share", "0"],
            "tta.crop_share: expected a share above 0 and at most 1, found 0.0",
        ),
        (
            ["--checkpoint", "x", "y", "--ensemble", "mean"],
            "--ensemble: expected one of probabilities, logits, validation, found 'mean'",
        ),
        (
            ["--checkpoint", "x", "--ensemble", "logits"],
            "--ensemble logits: expected several folders after --checkpoint, found one",
        ),
        (
            ["--checkpoint", "x", "y", "--temperature", "calibrated"],
            "--temperature: expected one folder after --checkpoint, found 2",
        ),
        (["--checkpoint", "x", "--which", "bst"], "--which: expected one of best, last, found 'bst'"),
        (["--checkpoint", "x", "--batch_size", "0"], "--batch_size: expected at least 1, found 0"),
        (["--checkpoint", "x", "--workers=-1"], "--workers: expected at least 0, found -1"),
        (["--checkpoint", "x", "--onednn", "yes"], "--onednn: expected true or false, found 'yes'"),
    ],
)
def test_mistakes(module: ModuleType, options: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        module.parse(options, INSTALLED)
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("precision", "options", "setting"),
    [
        ("float64", [], ("jax_enable_x64", True)),
        ("float32", ["--compilation_cache", "false"], ("jax_enable_compilation_cache", False)),
    ],
)
def test_what_jax_is_told(
    precision, options: list[str], setting: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onednn.is_available()  # its trial, done once in a process, changes a setting and sets it back
    told: list[tuple[str, object]] = []
    monkeypatch.setattr(jax.config, "update", lambda *setting: told.append(setting))
    broken = create_autospec(classifier.TrainedClassifier, side_effect=JaxnextError("far enough"))
    monkeypatch.setattr(classifier, "TrainedClassifier", broken)
    (tmp_path / "config.yaml").write_text(dump_config(Config(precision=precision)))
    with pytest.raises(JaxnextError, match="far enough"):
        command.run(["--checkpoint", str(tmp_path), "--data", "a", *options], INSTALLED)
    assert told[0] == setting


@pytest.mark.parametrize("module", [evaluate, predict], ids=["evaluate", "predict"])
def test_several_checkpoints_and_views(module: ModuleType, capsys: pytest.CaptureFixture) -> None:
    argv = ["--data", "a", "--checkpoint", "x", "y", "--tta", "five_crop", "--tta.crop_share", "0.5"]
    found = module.parse([*argv, "--ensemble", "validation"], INSTALLED)
    assert (found.checkpoint, found.ensemble) == ([Path("x"), Path("y")], "validation")
    assert found.tta == TTA.choose("five_crop", crop_share=0.5)
    with pytest.raises(SystemExit):
        module.parse(["--tta", "five_crop", "--help"], INSTALLED)
    shown = " ".join(capsys.readouterr().out.split())
    assert "averaged: none, five_crop, flips (type: str, default: five_crop)" in shown
    assert "--tta.crop_share CROP_SHARE share of height and of width" in shown


def trained_with(calibration: Calibration | None, *classes: str) -> Any:
    net = SimpleNamespace(calibration=calibration, checkpoint=Path("run"))
    return SimpleNamespace(members=(net,), classes=classes)


def fitted(threshold: float | None) -> Calibration:
    return Calibration(temperature=2.0, images=9, log_loss=(1, 1), ece=(0, 0), threshold=threshold)


def test_thresholds() -> None:
    assert threshold_of(None, trained_with(None, "unknown")) is None
    assert threshold_of(0.25, trained_with(None, "a")) == 0.25
    assert threshold_of("calibrated", trained_with(fitted(0.75), "a")) == 0.75


@pytest.mark.parametrize(
    ("threshold", "calibration", "sentence"),
    [
        (
            "calibrated",
            None,
            "--threshold calibrated: expected --temperature calibrated with it, for which it was chosen",
        ),
        (
            "calibrated",
            fitted(None),
            "run: expected a threshold in what was fitted, found none; run jaxnext calibrate run --accuracy 0.99, or "
            "the accuracy that is wanted",
        ),
        (2.0, None, "--threshold: expected a probability above 0 and at most 1, found 2.0"),
    ],
)
def test_thresholds_that_are_none(threshold: float | str, calibration: Calibration | None, sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        threshold_of(threshold, trained_with(calibration, "a"))
    assert str(error.value) == sentence


def test_means_are_those_of_ensembles() -> None:
    assert get_args(get_type_hints(evaluate.Arguments)["ensemble"]) == get_args(ensemble.Mean)


def test_what_is_no_size_is_refused_by_its_option(monkeypatch: pytest.MonkeyPatch) -> None:
    mistake = ValueError("data.image_size: expected at least 1 pixel, found 0")
    monkeypatch.setattr(ensemble, "Ensemble", create_autospec(ensemble.Ensemble, side_effect=mistake))
    with pytest.raises(UsageError, match=r"^--image_size: expected at least 1 pixel, found 0$"):
        command.run(["--checkpoint", "x", "y", "--data", "a", "--image_size", "0"], INSTALLED)


def test_several_checkpoints_are_an_ensemble(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = create_autospec(ensemble.Ensemble, side_effect=JaxnextError("far enough"))
    monkeypatch.setattr(ensemble, "Ensemble", opened)
    asked = ["--which", "last", "--ensemble", "logits", "--image_size", "[24, 32]"]
    with pytest.raises(JaxnextError, match="far enough"):
        command.run(["--checkpoint", "x", "y", "--data", "a", *asked], INSTALLED)
    assert opened.call_args.args == ([Path("x"), Path("y")], "last")
    assert opened.call_args.kwargs == {"train_command": "jaxnext train", "mean": "logits", "image_size": (24, 32)}
