import contextlib
import io
import re
from pathlib import Path
from typing import Any, Literal

import pytest

from jaxnext.cli.parser import Parser, choose_config, config_of, with_choices
from jaxnext.config.choice import Alternatives
from jaxnext.config.mapping import build
from jaxnext.config.mapping import settings as settings_of
from jaxnext.config.sections import Config, ModelConfig
from jaxnext.errors import UsageError


def settings(*argv: str, config: Config | None = None) -> Config:
    parser = Parser("python some.py", "", "Some.")
    base = with_choices(argv, config or Config())
    parser.settings(base)
    return config_of(parser.parse(argv), base)


def options(*argv: str) -> dict[str, Any]:
    parser = Parser("python some.py", "", "Some.")
    parser.option("flag", bool, "a flag", False)
    parser.option("choice", Literal["a", "b"], "a choice", "a")
    parser.option("count", int | None, "a count")
    parser.option("place", str | None, "a place")
    return parser.parse(argv).as_dict()


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], {"flag": False, "choice": "a", "count": None, "place": None}),
        (["--flag", "true"], {"flag": True}),
        (["--flag=false"], {"flag": False}),
        (["--count", "010"], {"count": 10}),
        (["--count", "3", "--count", "null"], {"count": None}),
        (["--place", "007"], {"place": "007"}),
        (["--place", "true"], {"place": "true"}),
        (["--place", "a: [b"], {"place": "a: [b"}),
        (["--place=--odd"], {"place": "--odd"}),
        (["--place", "null"], {"place": None}),
    ],
)
def test_values(argv: list[str], expected: dict[str, Any]) -> None:
    read = options(*argv)
    assert {key: read[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--flag", "yes"], "--flag: expected true or false, found 'yes'"),
        (["--flag", "1"], "--flag: expected true or false, found 1"),
        (["--choice", "c"], "--choice: expected one of a, b, found 'c'"),
        (["--count", "1.0"], "--count: expected a whole number or null, found 1.0"),
        (["--count", "1_000"], "--count: expected a whole number or null, found '1_000'"),
        (["--count", "x", "--count", "3"], "--count: expected a whole number or null, found 'x'"),
        (["--count", "3", "--count=x"], "--count: expected a whole number or null, found 'x'"),
        (["--place", ""], "--place: expected a value, found an empty one"),
        (["--place=a", "--count="], "--count: expected a value, found an empty one"),
        (["--cout", "3"], "unknown option --cout; did you mean --count?"),
        (["--cou", "3"], "unknown option --cou; did you mean --count?"),
        (["--count.x", "3"], "unknown option --count.x; did you mean --count?"),
        (["stray", "--coun=3"], "unknown option --coun; did you mean --count?"),
        (["-c", "3"], "unknown option -c; did you mean --"),
        (["stray word"], "unexpected argument 'stray word'"),
        (["--count"], "--count: expected a value after it (one that begins with a dash is written --count=VALUE)"),
        (["--count", "--flag", "true"], "--count: expected a value after it (one that begins with a dash is written"),
    ],
)
def test_mistakes(argv: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        options(*argv)
    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], Config()),
        (["--epochs", "3", "--schedule.factor=0.5"], build({"epochs": 3, "schedule": {"factor": 0.5}})),
        (["--optimizer.learning_rate", "1"], build({"optimizer": {"learning_rate": 1.0}})),
        (["--model.stage_sizes", "[1,1,1,1]"], Config(model=ModelConfig(stage_sizes=(1, 1, 1, 1)))),
        (["--model.head", "fc"], build({"model": {"head": "fc"}})),
        (
            ["--model.head.type=fc", "--model.head.widths", "[]"],
            build({"model": {"head": {"type": "fc", "widths": []}}}),
        ),
        (
            ["--model.attention.kernel_size", "5", "--model.attention", "cbam"],
            build({"model": {"attention": {"type": "cbam", "kernel_size": 5}}}),
        ),
        (["--augment.original.rotation", "3"], build({"augment": [{"type": "original", "rotation": 3}]})),
        (["--augment", "[]"], Config(augment=())),
        (["--augment", "grayscale"], build({"augment": ["grayscale"]})),
        (
            ["--augment", "[{type: original, rotation: 3}]", "--augment.original.contrast", "1"],
            build({"augment": [{"type": "original", "rotation": 3, "contrast": 1}]}),
        ),
        (
            ["--data.source", "tfds", "--data.source.name", "pets"],
            build({"data": {"source": {"type": "tfds", "name": "pets"}}}),
        ),
    ],
)
def test_settings(argv: list[str], expected: Config) -> None:
    assert settings(*argv) == expected


def test_settings_start_from_the_given_config() -> None:
    config = build({"epochs": 7, "model": {"weights": "there", "head": {"type": "fc", "dropout": 0.5}}})
    read = settings("--model.weights", "null", "--model.head.widths", "[2]", config=config)
    assert read == build({"epochs": 7, "model": {"head": {"type": "fc", "dropout": 0.5, "widths": [2]}}})
    assert settings("--model.head", "fc", config=config) == config
    assert settings("--model.head", "linear", config=config) == build({"epochs": 7, "model": {"weights": "there"}})


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--model.groop", "1"], "unknown option --model.groop; did you mean --model.groups?"),
        (["--learning_rate=1"], "unknown option --learning_rate; did you mean --optimizer.learning_rate?"),
        (["--batch-size", "3"], "unknown option --batch-size; did you mean --batch_size?"),
        (["--model", "{groups: 1}"], "unknown option --model; did you mean --model.std?"),
        (["--plateau.patience", "1"], "unknown option --plateau.patience; did you mean --schedule.patience?"),
        (["--augment.rotation", "1"], "unknown option --augment.rotation; did you mean --augment.original.rotation?"),
        (["--model.head_widths=[1]"], "unknown option --model.head_widths; did you mean --model.head.widths?"),
        (["--model.head.widths", "[1]"], "unknown option --model.head.widths: linear has no options"),
        (["--model.head", "fcc"], "model.head: expected one of fc, linear, found 'fcc'; did you mean fc?"),
        (["--augment", "[a"], "--augment: expected ',' or ']', but got '<stream end>' (line 1, column 3)"),
        (["--model.stage_sizes+", "3"], "unknown option --model.stage_sizes+; did you mean --model.stage_sizes?"),
        (["--schedule.factor", "abc"], "--schedule.factor: expected a number, found 'abc'"),
        (["--schedule.factor", "true"], "--schedule.factor: expected a number, found true"),
        (["--optimizer.eps", ".nan"], "--optimizer.eps: expected a number, found nan"),
        (["--schedule.factor", "2"], "schedule.factor: expected a number between 0 and 1, found 2.0"),
        (
            ["--precision", "half"],
            "--precision: expected one of float32, bfloat16, float64, found 'half'",
        ),
        (["--data.path="], "--data.path: expected a value, found an empty one"),
        (["--model.head=fc", "--model.head.dropout", ""], "--model.head.dropout: expected a value, found an empty one"),
        (["--model.head", ""], "--model.head: expected a value, found an empty one"),
        (
            ["--model.widths", "3"],
            "--model.widths: expected a list of whole numbers such as [1, 2], found 3",
        ),
        (
            ["--model.widths", "[1, 2.5]"],
            "--model.widths: expected a whole number, found 2.5",
        ),
        (
            ["--model.widths", "[1, 2"],
            "--model.widths: expected a list of whole numbers such as [1, 2], found '[1, 2'",
        ),
    ],
)
def test_mistakes_in_settings(argv: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        settings(*argv)
    assert str(error.value) == sentence


def test_only_some_settings() -> None:
    parser = Parser("python some.py", "", "Some.")
    parser.settings(Config(), only=("model.", "precision"))
    base = Config(epochs=9, precision="bfloat16")
    read = config_of(parser.parse(["--precision", "float64", "--model.groups", "1"]), base)
    assert read == Config(epochs=9, precision="float64", model=ModelConfig(groups=1))
    with pytest.raises(UsageError, match="unknown option --epochs"):
        parser.parse(["--epochs", "3"])


def test_help_explains_every_setting_with_its_default() -> None:
    parser = Parser("python some.py", "--config NAME", "Some.")
    config = build({"model": {"head": {"type": "fc", "dropout": 0.125}, "attention": "cbam"}})
    parser.settings(config)
    shown = io.StringIO()
    with pytest.raises(SystemExit) as end, contextlib.redirect_stdout(shown):
        parser.parse(["--help"])
    assert end.value.code == 0
    text = " ".join(shown.getvalue().split())
    assert text.startswith("usage: python some.py --config NAME Some.")
    explanations = dict(part.split(" ", 1) for part in text.split(" --")[1:])
    for setting in settings_of(config):
        if isinstance(setting.hint, Alternatives):
            continue
        assert re.search(r"[a-z]{3}.* \(type: .*, default: .+\)", explanations[setting.key]), setting.key
    assert "probability of zeroing a hidden unit in training (type: float, default: 0.125)" in text
    assert "from the last feature map to the class scores: fc, linear (type: str, default: fc)" in text
    assert "number of classes; null: as many as the data has (type: int | null, default: null)" in text


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "fc.yaml").write_text("epochs: 3")
    (folder / "fc_cbam.yaml").write_text("epochs: 4")
    (folder / "notes.txt").touch()
    return folder


def test_a_name_is_looked_up_in_the_folder_of_configs(configs: Path) -> None:
    assert choose_config(["--config", "fc"], configs) == ("fc", Config(epochs=3))
    assert choose_config(["--epochs", "9", "x", "--config=fc_cbam", "--typo"], configs) == ("fc_cbam", Config(epochs=4))
    assert choose_config(["--epochs", "9"], configs) is None


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (
            ["--config", "fc_cban"],
            "--config: no config is named 'fc_cban' in {configs} (fc, fc_cbam); did you mean fc_cbam?",
        ),
        (["--config="], "--config: expected one of fc, fc_cbam, or a path, found an empty value"),
        (["--config"], "--config is without a value: give one of fc, fc_cbam"),
        (["--config", "fc", "--config", "fc_cbam"], "--config is given twice, fc and fc_cbam: give one"),
    ],
)
def test_mistakes_in_the_choice(configs: Path, argv: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        choose_config(argv, configs)
    assert str(error.value) == sentence.format(configs=configs)
