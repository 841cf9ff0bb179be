from pathlib import Path

import jax
import pytest

from jaxnext.cli.precision import set_precision_of
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
