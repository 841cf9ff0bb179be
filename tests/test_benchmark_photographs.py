from pathlib import Path

import numpy as np
from benchmarks.photographs import write_photographs
from PIL import Image


def test_sizes_compression_and_names(tmp_path: Path) -> None:
    total = write_photographs(tmp_path, 12)
    files = sorted(tmp_path.rglob("*"))
    images = [file for file in files if file.is_file()]
    assert [file.relative_to(tmp_path).as_posix() for file in images[:4]] == [
        "class0/00000.jpg",
        "class0/00004.jpg",
        "class0/00008.jpg",
        "class1/00001.jpg",
    ]
    assert len(images) == 12
    assert total == sum(file.stat().st_size for file in images)
    sides, contents = [], set()
    for file in images:
        with Image.open(file) as image:
            assert (image.format, image.mode) == ("JPEG", "RGB")
            sides += image.size
            pixels = np.asarray(image)
            # As photographs at this quality: a plain gradient has a tenth of that, noise many times as much.
            assert 0.15 < file.stat().st_size / (image.width * image.height) < 0.6
            assert pixels.std() > 20
            contents.add(pixels[:10, :10].tobytes())
    assert 350 <= min(sides) < 450
    assert 700 < max(sides) <= 800
    assert len(contents) == 12


def test_the_seed_decides(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_photographs(tmp_path / name, 1, seed)
    first, again, other = (file.read_bytes() for file in sorted(tmp_path.rglob("*.jpg")))
    assert first == again != other
