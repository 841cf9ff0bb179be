"""A sheet of small pictures with a text below each."""

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaxnext.errors import printable
from jaxnext.types import UInt8Image

_SIDE, _GAP, _FRAME, _FONT = 128, 10, 3, 12
"""Pixels of a picture's longer side, between pictures, of a frame, and of letters."""
WIDTH = _SIDE + 2 * _FRAME
"""Pixels that a line below a picture may have."""
_LINE = _FONT + 4
_MOST_COLUMNS = 8
_RIGHT, _WRONG = (0, 114, 178), (213, 94, 0)
"""Blue and vermilion of Okabe and Ito's palette, told apart with any colour vision."""
_PAPER, _INK = (255, 255, 255), (34, 34, 34)


class Tile(NamedTuple):
    """A picture of a sheet."""

    image: UInt8Image
    lines: tuple[str, ...]
    """below it; what is too long is cut off"""
    right: bool | None = None
    """whether what is said of it is right, in the colour of frame and last line; ``None``: without a frame"""


def sheet(tiles: Sequence[Tile], title: str) -> UInt8Image:
    """Return the sheet: rows of at most eight pictures under a title.

    Small pictures are magnified by a whole number, so that their pixels stay what they are; large ones are made small.

    Args:
        tiles: at least one, of images of one size.
        title: one line, or several with line breaks.
    """
    pictures = [_picture(tile.image) for tile in tiles]
    wide, tall = (max(side) for side in zip(*(picture.size for picture in pictures), strict=True))
    wide = max(wide, _SIDE)
    head = _GAP + _LINE * len(title.splitlines())
    columns = min(len(tiles), _MOST_COLUMNS, max(4, math.ceil(math.sqrt(len(tiles)))))
    rows = -(-len(tiles) // columns)
    cell = tall + 2 * _FRAME + _LINE * max(len(tile.lines) for tile in tiles) + _GAP
    width = columns * (wide + 2 * _FRAME + _GAP) + _GAP
    width = max(width, 2 * _GAP + max(math.ceil(_font().getlength(line)) for line in title.splitlines()))
    paper = Image.new("RGB", (width, head + _GAP + rows * cell), _PAPER)
    draw = ImageDraw.Draw(paper)
    for place, line in enumerate(title.splitlines()):
        draw.text((_GAP, _GAP + place * _LINE), line, _INK, _font())
    for place, (tile, picture) in enumerate(zip(tiles, pictures, strict=True)):
        x = _GAP + place % columns * (wide + 2 * _FRAME + _GAP)
        y = head + _GAP + place // columns * cell
        colour = _INK if tile.right is None else _RIGHT if tile.right else _WRONG
        if tile.right is not None:
            draw.rectangle((x, y, x + picture.width + 2 * _FRAME - 1, y + picture.height + 2 * _FRAME - 1), fill=colour)
        paper.paste(picture, (x + _FRAME, y + _FRAME))
        for number, line in enumerate(tile.lines):
            last = number == len(tile.lines) - 1
            top = y + picture.height + 2 * _FRAME + number * _LINE
            draw.text((x, top), fitting(line), colour if last else _INK, _font())
    return np.asarray(paper)


def fitting(text: str, end: str = "") -> str:
    """Return a text and an end in one line, the text cut off so that both stand below a picture."""
    text = " ".join(printable(text).split())
    if fits(text + end):
        return text + end
    most = next(n for n in range(len(text), -1, -1) if not n or fits(f"{text[:n]}…{end}"))
    return f"{text[:most].rstrip()}…{end}"


def fits(text: str) -> bool:
    """Return whether a text is no wider than a picture with its frame."""
    return _font().getlength(printable(text)) <= WIDTH


def _picture(image: UInt8Image) -> Image.Image:
    picture, longer = Image.fromarray(image), max(image.shape[:2])
    if longer <= _SIDE:
        times = _SIDE // longer
        return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return picture


@functools.cache
def _font() -> ImageFont.FreeTypeFont:
    # Pillow's own font has Latin letters only; Matplotlib comes with one that has Greek, Cyrillic and others too.
    import matplotlib

    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), _FONT)
