import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnext.config.mapping import build
from jaxnext.config.sections import HEADS, OPTIMIZERS, Config, DataConfig, ModelConfig
from jaxnext.config.yaml_text import config_names, dump_config, find_config, load_config, load_yaml
from jaxnext.errors import UsageError


def load(folder: Path, text: str | bytes) -> Config:
    file = folder / "some.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config(file)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("-2.5e+3", -2500.0),
        (".5", 0.5),
        ("3.", 3.0),
        ("12", 12),
        ("010", 10),
        ("-7", -7),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("off", "off"),
        ("null", None),
        ("~", None),
        ("", None),
        ("none", "none"),
        ("'1e-4'", "1e-4"),
        ("<<", "<<"),
        ("[1, 2.0, a]", [1, 2.0, "a"]),
        ("{a: {b: null}}", {"a": {"b": None}}),
    ],
)
def test_yaml_core_schema(text: str, value: Any) -> None:
    read = load_yaml(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "the key a is given twice (line 3, column 1)"),
        ("model: {dropout: 0.1, dropout: 0.2}", "the key dropout is given twice (line 1, column 23)"),
        ("a: [1", "expected ',' or ']', but got '<stream end>' (line 1, column 6)"),
        ("? [1]\n: 2", "found unhashable key (line 1, column 3)"),
        ("!!int abc", "invalid literal for int() with base 10: 'abc'"),
    ],
)
def test_text_that_is_not_yaml(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        load_yaml(text)


def test_python_objects_are_refused() -> None:
    with pytest.raises(ValueError, match="could not determine a constructor for the tag"):
        load_yaml("!!python/object/apply:os.getcwd []")


def test_a_file_names_only_what_differs(tmp_path: Path) -> None:
    text = "epochs: 3\nworkers: null\nmodel:\n  widths: [64, 64, 64, 64]\n  head: {type: fc, dropout: 1e-4}\n"
    assert load(tmp_path, text) == Config(
        epochs=3,
        model=ModelConfig(widths=(64, 64, 64, 64), head=HEADS.choose("fc", dropout=1e-4)),
    )


def test_a_whole_number_is_read_where_a_number_is_expected(tmp_path: Path) -> None:
    rate = load(tmp_path, "optimizer: {learning_rate: 1}").optimizer["learning_rate"]
    assert (rate, type(rate)) == (1.0, float)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file_is_the_defaults(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == Config()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3", "unknown key epoch; did you mean epochs?"),
        ("model: {groop: 2}", "unknown key model.groop; did you mean model.groups?"),
        ("groups: 2", "unknown key groups; did you mean model.groups?"),
        ("5: 0.2", "unknown key 5; did you mean"),
        ("model.groups: 2", "model.groups is written as one key, expected model: {groups: ... }"),
        ("epochs: many", "epochs: expected a whole number, found 'many'"),
        ("epochs: 1.0", "epochs: expected a whole number, found 1.0"),
        ("epochs: true", "epochs: expected a whole number, found true"),
        ("epochs:", "epochs: expected a whole number, found null"),
        ("workers: a", "workers: expected a whole number or null, found 'a'"),
        ("model: {head: {type: fc, dropout: true}}", "model.head.dropout: expected a number, found true"),
        ("optimizer: {eps: .nan}", "optimizer.eps: expected a number, found nan"),
        ("optimizer: {eps: 1" + "0" * 400 + "}", "optimizer.eps: expected a number, found 1000"),
        ("precision: half", "precision: expected one of float32, bfloat16, float64, found 'half'"),
        ("data: {path: 2024}", "data.path: expected text, a list of texts such as [a, b] or null, found 2024"),
        (
            "model: {head: null}",
            "model.head: expected one of fc, linear, or a mapping with type and options, found null",
        ),
        ("model: {widths: 3}", "model.widths: expected a list of whole numbers such as [1, 2], found 3"),
        ("model: {widths: [1, 2.5]}", "model.widths: expected a whole number, found 2.5"),
        ("data:", "data: expected the settings of this section, found null"),
        ("- 1", "expected settings written as key: value, found [1]"),
        ("schedule: {factor: 2}", "schedule.factor: expected a number between 0 and 1, found 2.0"),
        ("a: 1\na: 1", "not YAML: the key a is given twice (line 2, column 1)"),
        (b"path: \xff", "expected YAML in UTF-8, found the byte 0xff"),
    ],
)
def test_errors_name_file_and_key(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"{tmp_path / 'some.yaml'}: {message}")) as error:
        load(tmp_path, text)
    assert "\n" not in str(error.value)


def test_a_config_saved_on_windows(tmp_path: Path) -> None:
    assert load(tmp_path, b"\xef\xbb\xbfseed: 7\r\nepochs: 3\r\n") == Config(seed=7, epochs=3)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape(f"{tmp_path}/no.yaml: the config cannot be read (No such file")):
        load_config(tmp_path / "no.yaml")
    with pytest.raises(UsageError, match=re.escape(f"{tmp_path}: the config cannot be read (Is a directory)")):
        load_config(tmp_path)


def test_dump_is_readable_and_complete() -> None:
    text = dump_config(Config(data=DataConfig(path="a folder"), model=ModelConfig(weights="1e-4")))
    lines = text.splitlines()
    assert lines[:6] == [
        "seed: 0",
        "epochs: 50",
        "batch_size: 16",
        "precision: float32",
        "workers: null",
        "report_every: 0",
    ]
    assert "  path: a folder" in lines
    assert "  stage_sizes: [3, 4, 6, 3]" in lines
    assert "  weights: '1e-4'" in lines
    assert lines[lines.index("schedule:") + 1 :][:2] == ["  type: plateau", "  factor: 0.1"]


texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    [
        "1e-4",
        "null",
        "true",
        "yes",
        "~",
        "0123",
        "=",
        "<<",
        "2020-01-01",
        "- a",
        "a: b",
        "#",
        " x ",
        "a\nb",
        "\udce9",
        "é",
    ]
)


@settings(deadline=None, max_examples=100)
@given(
    path=st.none() | texts,
    rate=st.floats(min_value=1e-300, max_value=1e300),
    widths=st.lists(st.integers(1, 10**6), max_size=3),
)
def test_dump_reads_back_equal(
    tmp_path_factory: pytest.TempPathFactory, path: str | None, rate: float, widths: list[int]
) -> None:
    config = Config(
        data=DataConfig(path=path),
        model=ModelConfig(head=HEADS.choose("fc", widths=tuple(widths))),
        optimizer=OPTIMIZERS.choose("adam", learning_rate=rate),
    )
    assert load(tmp_path_factory.getbasetemp(), dump_config(config)) == config


@pytest.mark.parametrize("text", ["a\x85b", "ä", "a\u2028b", "\ufeff", " ", "\\x85", "1e-4", "null"])
def test_text_that_yaml_could_take_for_something_else_reads_back_equal(text: str) -> None:
    config = Config(data=DataConfig(path=text), model=ModelConfig(weights=text))
    assert build(load_yaml(dump_config(config))) == config


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "fc_cbam.yaml").write_text("epochs: 4")
    (folder / "fc.yaml").write_text("epochs: 3")
    (folder / "notes.txt").touch()
    return folder


def test_a_name_is_looked_up_in_the_folder_of_configs(configs: Path) -> None:
    assert config_names(configs) == "fc, fc_cbam"
    assert find_config("fc_cbam", configs) == ("fc_cbam", Config(epochs=4))


def test_a_path_is_read_where_it_is(configs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(configs.parent)
    Path("fc.yaml").write_text("epochs: 5")
    Path("plain").write_text("epochs: 6")
    assert find_config("fc.yaml", configs) == ("fc", Config(epochs=5))
    assert find_config("./plain", configs) == ("plain", Config(epochs=6))
    assert find_config(str(configs / "fc.yaml"), configs) == ("fc", Config(epochs=3))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("fc_cban", "--config: no config is named 'fc_cban' in {configs} (fc, fc_cbam); did you mean fc_cbam?"),
        ("no.yaml", "no.yaml: the config cannot be read (No such file or directory)"),
    ],
)
def test_a_config_that_is_not_there(configs: Path, given: str, sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        find_config(given, configs)
    assert str(error.value) == sentence.format(configs=configs)


def test_a_folder_without_configs(tmp_path: Path) -> None:
    assert config_names(tmp_path) == ""
    with pytest.raises(UsageError) as error:
        find_config("fc", tmp_path)
    assert str(error.value) == f"--config: no config is named 'fc' in {tmp_path} (it has none)"
