import dataclasses
import json
import signal
from pathlib import Path
from typing import Any

import pytest
import small_run

from jaxnext.cli import compare as command
from jaxnext.cli import comparing
from jaxnext.cli.compare import parse
from jaxnext.cli.invocation import Invocation
from jaxnext.config.sections import Config
from jaxnext.config.yaml_text import dump_config
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.training import epoch

INSTALLED = Invocation()


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "a.yaml").write_text("epochs: 3")
    (folder / "b.yaml").write_text("model: {head: fc}")
    return folder


def test_options(configs: Path) -> None:
    found = parse(["--configs", "a", "b", "--seeds", "2", "--folds", "2", "--epochs", "5"], INSTALLED, configs)
    assert list(found.runs) == [f"{name}-seed{s}-fold{f}" for s in (0, 1) for f in (0, 1) for name in "ab"]
    one = found.runs["b-seed1-fold0"]
    assert (one.epochs, one.seed, one.data.folds, one.data.fold, one.model.head.type) == (5, 1, 2, 0, "fc")
    assert found.output == Path("runs/compare")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("", "--configs is missing: give two or more of a, b, or of paths"),
        ("--configs a a", "--configs: expected each name once, since runs are called by it, found a twice"),
        ("--configs a --seeds 0", "--seeds: expected at least 1, found 0"),
        ("--configs b a --model.head.dropout 0.1", "a: unknown option --model.head.dropout: linear has no options"),
    ],
)
def test_mistakes(configs: Path, options: str, sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(options.split(), INSTALLED, configs)
    assert str(error.value).startswith(sentence)


def test_a_run_whose_records_are_broken(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "last" / "1").mkdir(parents=True)
    (tmp_path / "metrics.jsonl").write_text("{")
    with pytest.raises(JaxnextError) as error:
        command.finished(tmp_path, Config())
    assert str(error.value).startswith(
        f"{tmp_path}/metrics.jsonl: expected the records of a run's epochs, found another file (Expecting property name"
    )


def figures(output: Path) -> Any:
    def timeless(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: timeless(inner) for name, inner in value.items() if name != "seconds"}
        return [timeless(inner) for inner in value] if isinstance(value, list) else value

    return timeless(json.loads((output / "compare.json").read_text()))


@pytest.mark.slow
def test_stopped_half_way_it_goes_on(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = small_run.plain(small_run.config(images, epochs=1, workers=0))
    (tmp_path / "with.yaml").write_text(dump_config(base))
    (tmp_path / "out.yaml").write_text(dump_config(dataclasses.replace(base, augment=())))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    # The same few programs serve all runs of this test.
    monkeypatch.setattr(command, "free_memory", lambda: None)
    monkeypatch.setattr(comparing, "free_memory", lambda: None)
    argv = ["--configs", "with.yaml", "out.yaml", "--onednn", "false"]
    assert command.run([*argv, "--output", "whole"], INSTALLED) == 0

    train, calls = epoch._train, []

    def interrupted(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return train(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(epoch, "_train", interrupted)
        assert command.run([*argv, "--output", "parts"], INSTALLED) == 130
    assert not (tmp_path / "parts" / "compare.json").exists()
    assert command.run([*argv, "--output", "parts"], INSTALLED) == 0
    assert figures(tmp_path / "parts") == figures(tmp_path / "whole")
    assert (tmp_path / "parts" / "with-seed0" / "predictions.csv").is_file()
    with pytest.raises(UsageError, match=r"found batch_size was 10 and is 12"):
        command.run([*argv, "--output", "parts", "--batch_size", "12"], INSTALLED)
