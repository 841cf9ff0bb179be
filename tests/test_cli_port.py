from pathlib import Path
from unittest.mock import create_autospec

import pytest
from flat_config import model_config

from jaxnext.cli import port as command
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.port import Arguments, parse
from jaxnext.config.sections import Config, DataConfig
from jaxnext.errors import UsageError
from jaxnext.weights import port as porting

INSTALLED = Invocation()


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text("epochs: 3\nmodel: {head: {type: fc, dropout: 0.5}}\n")
    return tmp_path


def test_port_weights(configs: Path) -> None:
    argv = ["net.pth", "--config", "tiny", "--output", "there", "--model.groups", "1", "--data.image_size", "64"]
    expected = Config(epochs=3, data=DataConfig(image_size=64), model=model_config(head="fc", dropout=0.5, groups=1))
    assert parse(argv, INSTALLED, configs) == Arguments(
        "net.pth",
        expected,
        Path("there"),
        None,
        None,
        True,
        ("net.pth", "--config", "tiny", "--model.groups", "1", "--data.image_size", "64"),
    )
    assert parse(["--output=there", "a b", "--config", "tiny"], INSTALLED, configs).words == (
        "a b",
        "--config",
        "tiny",
    )
    assert parse([*argv, "--classes", "names.txt"], INSTALLED, configs).classes == Path("names.txt")
    asked = parse([*argv, "--key", "ema/net", "--head", "none"], INSTALLED, configs)
    assert (asked.key, asked.head) == ("ema/net", False)


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["net.pth"], "--config is missing: give one of tiny, or the path of a .yaml file"),
        (["--config", "tiny"], "SOURCE is missing: give a .pth, .pt or .safetensors file, or imagenet1k_v2"),
        (["net.pth", "--config", "tiny"], "--output is missing: give the folder that receives the checkpoint"),
        (["", "--config", "tiny", "--output", "x"], "SOURCE: expected a path, found an empty one"),
        (
            ["a.pth", "--config", "tiny", "--output", "x", "--classes", ""],
            "--classes: expected a value, found an empty one",
        ),
        (["a.pth", "--config", "", "--output", "x"], "--config: expected one of tiny, or a path, found an empty value"),
        (
            ["a.pth", "--config", "tiny", "--output", "x", "--head", "fc"],
            "--head: expected none, found 'fc'; the config's head is --model.head NAME",
        ),
        (["a.pth", "b.pth", "--config", "tiny", "--output", "x"], "unexpected argument 'b.pth'"),
    ],
)
def test_mistakes_of_port_weights(configs: Path, argv: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(argv, INSTALLED, configs)
    assert str(error.value) == sentence


def test_port_weights_takes_no_settings_of_training(configs: Path) -> None:
    with pytest.raises(UsageError, match="unknown option --epochs"):
        parse(["a.pth", "--config", "tiny", "--output", "x", "--epochs", "3"], INSTALLED, configs)


def test_it_calls_port_weights(configs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/large")
    monkeypatch.setattr(command, "configs_folder", lambda: configs)
    double = create_autospec(porting.port_weights)
    monkeypatch.setattr(porting, "port_weights", double)
    assert command.run(["net.pth", "--config", "tiny", "--output", "there"], INSTALLED) == 0
    options = dict(double.call_args.kwargs)
    options.pop("say")("good")
    options.pop("warn")("bad")
    assert tuple(capsys.readouterr()) == ("good\n", "bad\n")
    assert options == {
        "source": "net.pth",
        "config": Config(epochs=3, model=model_config(head="fc", dropout=0.5)),
        "output": Path("there"),
        "classes": None,
        "key": None,
        "head": True,
        "words": ("net.pth", "--config", "tiny"),
        "command": "jaxnext port",
        "cache": Path("/large/jaxnext"),
    }
