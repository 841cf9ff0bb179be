import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent


def write(folder: Path) -> tuple[Path, Path]:
    """A palette with transparency, and an image of more pixels than Pillow's limit."""
    folder.mkdir(parents=True)
    palette = Image.new("P", (8, 8))
    palette.putpalette([level for level in range(256) for _ in range(3)])
    palette.save(folder / "palette.png", transparency=bytes(range(256)))
    Image.new("1", (10_000, 9_000)).save(folder / "bomb.png")
    return folder / "palette.png", folder / "bomb.png"


def errors_of(*command: object, folder: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    words = [sys.executable, *map(str, command)]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=100).stderr


def test_a_script_says_its_own_sentences_only(tmp_path: Path) -> None:
    _, bomb = write(tmp_path / "images/train/a")
    said = errors_of(ROOT / "scripts/prepare_data.py", "images", "--output", "out", folder=tmp_path).splitlines()
    reason = "10000x9000 pixels are more than the limit of 89478485"
    assert said[0] == f"{bomb.relative_to(tmp_path)}: the image cannot be read ({reason})"
    assert len(said) == 2


@pytest.mark.slow
def test_worker_processes_are_silent(tmp_path: Path) -> None:
    palette, _ = write(tmp_path / "images")
    (tmp_path / "program.py").write_text(
        textwrap.dedent("""
            import sys
            from pathlib import Path
            from jaxnext.data.loader import stream
            from jaxnext.data.order import sequential_order
            from jaxnext.data.folder_source import files_source
            from jaxnext.data.pixels import Pixels

            def main():
                source = files_source([Path(sys.argv[1])])
                pixels, workers = Pixels((8, 8), background="ignore"), int(sys.argv[2])
                with stream(sequential_order(1, 1), None, source, pixels, workers=workers) as batches:
                    assert not next(batches).errors

            if __name__ == "__main__":
                main()
        """)
    )
    assert errors_of("program.py", palette, 1, folder=tmp_path) == ""
    # A library does not decide for the process that uses it.
    assert "Palette images with Transparency" in errors_of("program.py", palette, 0, folder=tmp_path)
