"""A small data set with something wrong of every kind, inspected."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from square import square

from jaxnext.data.image_source import MemorySource
from jaxnext.data.inspection import Inspection, inspect
from jaxnext.data.splits import Splits

CLASSES = ("cat", "dog")


def picture(seed: int) -> Image.Image:
    """48x64 pixels, smooth as a photograph is."""
    colours = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), np.uint8)
    return Image.fromarray(colours).resize((48, 64), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """A file of it."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def source(files: Sequence[tuple[int, str, bytes]]) -> MemorySource:
    """Images in memory: label, name, file of each."""
    labels, names, data = zip(*files, strict=True)
    return MemorySource(tuple(data), tuple(names), np.array(labels, np.int32), CLASSES)


def spoiled() -> Inspection:
    """Nine images for training and two for validation; the second is sideways, the third grey and animated."""
    sideways = Image.Exif()
    sideways[0x0112] = 6
    grey = picture(2).convert("L")
    train = source(
        [
            (0, "cat/0.png", encoded(picture(0))),
            (0, "cat/1.jpg", encoded(picture(1), "JPEG", exif=sideways)),
            (0, "cat/2.gif", encoded(grey, "GIF", save_all=True, append_images=[picture(9).convert("L")])),
            (0, "cat/3.png", encoded(picture(3))),
            (0, "cat/4.png", encoded(picture(3))),
            (0, "cat/empty.png", b""),
            (1, "dog/<5>.png", encoded(picture(5).resize((20, 80)))),
            (1, "dog/6.png", encoded(picture(6))),
            (1, "dog/0.png", encoded(picture(0))),
        ]
    )
    validation = source([(1, "dog/7.webp", encoded(picture(6), "WEBP")), (0, "cat/8.png", encoded(picture(8)))])
    return inspect(Splits(train, validation, CLASSES, ("pets: 11 images",)), square(8), 2, lambda count: None)


def sound() -> Inspection:
    """Two images for training and one for validation."""
    train = source([(0, "cat/0.png", encoded(picture(0))), (1, "dog/1.png", encoded(picture(1)))])
    validation = source([(1, "dog/2.png", encoded(picture(2)))])
    return inspect(Splits(train, validation, CLASSES, ()), square(8), 1, lambda count: None)
