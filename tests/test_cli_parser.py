import contextlib
import io
import re
from pathlib import Path
from typing import Any, Literal

import pytest

from jaxnext.cli.parser import Parser, choose_config, config_of
from jaxnext.config.sections import Config, ModelConfig
from jaxnext.config.yaml_text import key_types
from jaxnext.errors import UsageError


def settings(*argv: str, config: Config | None = None) -> Config:
    parser = Parser("python some.py", "", "Some.")
    parser.settings(config or Config())
    return config_of(parser.parse(argv))


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
        (["--epochs", "3", "--model.dropout=0.5"], Config(epochs=3, model=ModelConfig(dropout=0.5))),
        (["--model.dropout", "0"], Config(model=ModelConfig(dropout=0.0))),
        (["--model.stage_sizes", "[1,1,1,1]"], Config(model=ModelConfig(stage_sizes=(1, 1, 1, 1)))),
        (["--model.head_widths", "[]"], Config(model=ModelConfig(head_widths=()))),
        (
            ["--model.attention_options.kernel_size", "5", "--model.attention_options.rate", "1e-4"],
            Config(model=ModelConfig(attention_options={"kernel_size": 5, "rate": 1e-4})),
        ),
        (
            ["--model.attention_options", '{"kernel_size": 5, "name": "x", "on": true}'],
            Config(model=ModelConfig(attention_options={"kernel_size": 5, "name": "x", "on": True})),
        ),
    ],
)
def test_settings(argv: list[str], expected: Config) -> None:
    assert settings(*argv) == expected


def test_settings_start_from_the_given_config() -> None:
    config = Config(epochs=7, model=ModelConfig(weights="there", attention_options={"a": 1}))
    read = settings("--model.weights", "null", "--model.attention_options.b", "2", config=config)
    assert read == Config(epochs=7, model=ModelConfig(attention_options={"a": 1, "b": 2}))
    assert config.model.attention_options == {"a": 1}


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--model.dropot", "1"], "unknown option --model.dropot; did you mean --model.dropout?"),
        (["--learning_rate=1"], "unknown option --learning_rate; did you mean --optimizer.learning_rate?"),
        (["--batch-size", "3"], "unknown option --batch-size; did you mean --batch_size?"),
        (["--model", "{dropout: 0.1}"], "unknown option --model; did you mean --model.head?"),
        (["--model.stage_sizes+", "3"], "unknown option --model.stage_sizes+; did you mean --model.stage_sizes?"),
        (["--model.dropout", "abc"], "--model.dropout: expected a number, found 'abc'"),
        (["--model.dropout", "true"], "--model.dropout: expected a number, found true"),
        (["--optimizer.eps", ".nan"], "--optimizer.eps: expected a number, found nan"),
        (["--model.dropout", "2"], "model.dropout: expected a probability from 0 to below 1, found 2.0"),
        (["--augment.rotation=-1e-4"], "augment.rotation: expected 0 to 180 degrees, found -0.0001"),
        (
            ["--precision", "half"],
            "--precision: expected one of float32, bfloat16, float64, found 'half'",
        ),
        (["--data.path="], "--data.path: expected a value, found an empty one"),
        (["--model.head_options.a", ""], "--model.head_options.a: expected a value, found an empty one"),
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
        (
            ["--model.head_options", "[1]"],
            "--model.head_options: expected names with values such as {size: 5}, found [1]",
        ),
        (
            ["--model.head_options", '{"a": [1]}'],
            "--model.head_options.a: expected true or false, a whole number, a number or text, found [1]",
        ),
        (
            ["--model.head_options.a", "[1]"],
            "model.head_options.a: expected true or false, a whole number, a number or text, found [1]",
        ),
        (
            ["--model.head_options.a.b", "1"],
            "model.head_options.a: expected true or false, a whole number, a number or text, found {'b': '1'}",
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
    parser.settings(Config(model=ModelConfig(dropout=0.125)))
    shown = io.StringIO()
    with pytest.raises(SystemExit) as end, contextlib.redirect_stdout(shown):
        parser.parse(["--help"])
    assert end.value.code == 0
    text = " ".join(shown.getvalue().split())
    assert text.startswith("usage: python some.py --config NAME Some.")
    explanations = dict(part.split(" ", 1) for part in text.split(" --")[1:])
    for key in key_types():
        assert re.search(r"[a-z]{3}.* \(type: .*, default: .+\)", explanations[key]), key
    assert "dropout probability after each hidden layer of the head (type: float, default: 0.125)" in text
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
