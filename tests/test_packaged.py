from pathlib import Path

import pytest

from jaxnext.config import packaged
from jaxnext.config.packaged import configs_folder

ROOT = Path(__file__).resolve().parent.parent


def test_in_a_checkout() -> None:
    assert configs_folder() == ROOT / "configs"


def test_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").mkdir()
    monkeypatch.setattr(packaged, "_PACKAGE", tmp_path)
    assert configs_folder() == tmp_path / "configs"
