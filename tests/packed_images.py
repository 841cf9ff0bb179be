"""Small folders of images, and packing them as TFDS data sets."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxnext.data.packing import pack
from jaxnext.data.packing.pack import Outcome
from jaxnext.data.splits import OpenContext

CLASSES = ("10", "2", "cat dog")


class Counter:
    """A progress bar that only counts."""

    def __init__(self) -> None:
        self.total, self.done = 0, 0

    @contextlib.contextmanager
    def __call__(self, total: int) -> Iterator["Counter"]:
        self.total, self.done = total, 0
        yield self

    def update(self, count: int) -> None:
        self.done += count


def encoded(seed: int, kind: str, mode: str = "RGB") -> bytes:
    """An image file of 60x40 pixels."""
    pixels = np.random.default_rng(seed).integers(0, 255, (4, 6, 3), np.uint8).repeat(10, 0).repeat(10, 1)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind)
    return file.getvalue()


def write_folder(root: Path, splits: dict[str, int]) -> Path:
    """Class folders below each split, with so many images in each, of several formats."""
    kinds = (("jpg", "JPEG", "RGB"), ("png", "PNG", "RGBA"), ("jpeg", "JPEG", "L"), ("webp", "WEBP", "RGB"))
    seed = 0
    for split, count in splits.items():
        for name in CLASSES:
            for i in range(count):
                extension, kind, mode = kinds[i % len(kinds)]
                file = root / split / name / ("deep" if i == 3 else ".") / f"image{i}.{extension}"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(encoded(seed, kind, mode))
                seed += 1
    return root


def pack_folder(folder: Path, output: Path, **options: Any) -> Outcome:
    """Packs with these options, and with the command's defaults for the others."""
    quiet: dict[str, Any] = {"say": lambda line: None, "warn": lambda line: None, "progress": Counter()}
    defaults: dict[str, Any] = {"name": None, "pixels": None, "on_corrupt": "stop", "threads": 2}
    return pack.pack(OpenContext(str(folder), hold_out=False), output, **(defaults | quiet | options))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
