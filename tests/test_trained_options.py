from pathlib import Path
from types import ModuleType
from unittest.mock import create_autospec

import jax
import pytest

from jaxnext.cli import evaluate, predict
from jaxnext.cli import predict as command
from jaxnext.cli.invocation import Invocation
from jaxnext.config.sections import Config
from jaxnext.config.yaml_text import dump_config
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.inference import classifier
from jaxnext.ops.cpu import onednn

INSTALLED = Invocation()


@pytest.mark.parametrize("module", [evaluate, predict], ids=["evaluate", "predict"])
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "--checkpoint is missing: give the folder of a run or of a ported checkpoint"),
        (["--checkpoint", ""], "--checkpoint: expected a value, found an empty one"),
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
