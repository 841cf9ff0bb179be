"""The README's Python, run as it stands."""

import re
import shutil
from pathlib import Path

import pytest
import small_run

README = Path(__file__).resolve().parent.parent / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_its_python_runs(run: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs").mkdir()
    for name in ("fc_cbam", "a", "b"):
        (tmp_path / "runs" / name).symlink_to(run)
    shutil.copytree(images / "val", tmp_path / "data" / "val")
    for name in ("a", "b"):
        small_run.picture("3", 1).save(tmp_path / f"{name}.jpg")
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    found: dict[str, object] = {}
    for block in BLOCKS:
        exec(compile(block, str(README), "exec"), found)
    assert len(BLOCKS) == 1
    assert getattr(found["probabilities"], "shape", None) == (1, 12)
    assert getattr(found["maps"], "shape", None) == (1, 16, 16)
    assert getattr(found["vectors"], "shape", None) == (1, 32)
    assert getattr(found["figures"], "images", None) == 24
    assert set(tmp_path.iterdir()) - before == {tmp_path / "fc_cbam.stablehlo"}
