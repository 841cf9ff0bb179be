from pathlib import Path

import jax
import pytest

from jaxnext.cli.precision import set_precision_of, set_precision_of_all
from jaxnext.config.sections import Config
from jaxnext.config.yaml_text import dump_config


@pytest.mark.parametrize(("precision", "told"), [("float64", [("jax_enable_x64", True)]), ("bfloat16", [])])
def test_a_checkpoint_is_read_in_its_precision(precision, told: list, tmp_path: Path, monkeypatch) -> None:
    settings: list[tuple[str, object]] = []
    monkeypatch.setattr(jax.config, "update", lambda *setting: settings.append(setting))
    (tmp_path / "config.yaml").write_text(dump_config(Config(precision=precision)))
    assert set_precision_of(tmp_path) == precision
    assert settings == told


def test_a_folder_without_a_config_is_refused_later(tmp_path: Path) -> None:
    assert set_precision_of(tmp_path) == "float32"


@pytest.mark.parametrize(
    ("precisions", "expected"),
    [(("bfloat16", "float32"), "float32"), (("bfloat16", "float64"), "bfloat16"), (("float64",), "float64")],
)
def test_several_checkpoints(precisions, expected: str, tmp_path: Path, monkeypatch) -> None:
    settings: list[tuple[str, object]] = []
    monkeypatch.setattr(jax.config, "update", lambda *setting: settings.append(setting))
    for precision in precisions:
        (tmp_path / precision).mkdir()
        (tmp_path / precision / "config.yaml").write_text(dump_config(Config(precision=precision)))
    assert set_precision_of_all([tmp_path / precision for precision in precisions]) == expected
    assert settings == [("jax_enable_x64", True)] * ("float64" in precisions)
