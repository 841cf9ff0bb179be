"""Images that are there more than once: the same file, or nearly the same picture.

Two pictures are nearly the same if their perceptual hashes are, and their colours, too: hashes alone take for the same
what only has the same light and dark parts.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jaxnext.types import UInt8Image

_SIDE, _COLOURS, _LOW = 32, 16, 8
_MOST_BITS = 10
"""Bits by which the hashes of two pictures that are nearly the same may differ; those of others differ by 32 or so."""
_MOST_LEVELS = 4.0
"""Levels, of 255, by which their colours may differ, in the mean over all places and channels."""
_PAIRS = 2**22
"""Pairs of hashes that are compared at once."""
_PICTURES = 2**12
"""Pairs of pictures that are compared at once."""

_places = np.arange(_SIDE) + 0.5
_COSINES = np.cos(np.pi / _SIDE * np.arange(_LOW)[:, None] * _places)
_GREY = np.array([0.299, 0.587, 0.114])
"""Of ITU-R 601, as Pillow's mode L."""


def small_picture(pixels: UInt8Image) -> UInt8Image:
    """Return an image's mean colours in 32 by 32 fields, uint8 ``[32, 32, 3]``."""
    return np.asarray(Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BOX))


def perceptual_hash(small: UInt8Image) -> int:
    """Return 64 bits that another encoding, size or quality of the same picture changes little.

    Each says whether one of the 8 by 8 lowest frequencies of the discrete cosine transform of the grey levels is above
    their median, as in Zauner's thesis of 2010 and the library imagehash.

    Args:
        small: as ``small_picture`` returns it.
    """
    low = (_COSINES @ (small @ _GREY) @ _COSINES.T).ravel()
    # Without the mean of the picture, which comes first. Rounding hides the sign of what is zero in a flat picture.
    bits = np.round(low, 6) > np.median(np.round(low[1:], 6))
    return int.from_bytes(np.packbits(bits).tobytes())


def colours(small: UInt8Image) -> bytes:
    """Return the mean colours in 16 by 16 fields, by which ``nearly_same`` tells apart what has the same hash.

    Args:
        small: as ``small_picture`` returns it.
    """
    fields = small.reshape(_COLOURS, 2, _COLOURS, 2, 3).mean((1, 3))
    return np.rint(fields).astype(np.uint8).tobytes()


def same(keys: Sequence[bytes]) -> NDArray[np.int64]:
    """Return for each key, int64 ``[n]``, the number of the first that is equal to it."""
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(key, i) for i, key in enumerate(keys)], np.int64)


def nearly_same(hashes: Sequence[int], pictures: Sequence[bytes]) -> NDArray[np.int64]:
    """Return for each picture, int64 ``[n]``, the lowest number among those that it is nearly the same as.

    That is passed on: of three pictures of which the second is nearly the same as either other, all are one group.
    All pairs are compared, in blocks: 21,000 pictures in some seconds.

    Args:
        hashes: of ``perceptual_hash``.
        pictures: of ``colours``.
    """
    if not hashes:
        return np.zeros(0, np.int64)
    # What is equal needs no comparison; a thousand blank pages would be half a million pairs.
    keys = [number.to_bytes(8) + picture for number, picture in zip(hashes, pictures, strict=True)]
    group = same(keys)
    chosen = np.unique(group)
    bits = np.array(hashes, np.uint64)[chosen]
    levels = np.frombuffer(b"".join(pictures[i] for i in chosen.tolist()), np.uint8).reshape(len(chosen), -1)
    rows = max(1, _PAIRS // len(chosen))
    first = np.arange(len(chosen))
    for begin in range(0, len(chosen), rows):
        differing = np.bitwise_count(bits[begin : begin + rows, None] ^ bits[begin:])
        pairs = np.argwhere(differing <= _MOST_BITS)
        pairs = pairs[pairs[:, 0] < pairs[:, 1]] + begin
        for part in range(0, len(pairs), _PICTURES):
            first = _joined(first, pairs[part : part + _PICTURES], levels)
    return chosen[first][np.searchsorted(chosen, group)]


def _joined(first: NDArray[np.int64], pairs: NDArray[np.int64], levels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Join the groups of pairs whose colours differ little.

    Args:
        first: the lowest number in each one's group, int64 ``[n]``.
        pairs: int64 ``[m, 2]``.
        levels: colours of each, uint8 ``[n, levels]``.

    Returns:
        As ``first``.
    """
    a, b = pairs[first[pairs[:, 0]] != first[pairs[:, 1]]].T
    close = np.abs(levels[a].astype(np.int16) - levels[b]).mean(1) <= _MOST_LEVELS
    a, b = a[close], b[close]
    while not np.array_equal(first[a], first[b]):
        low = np.minimum(first[a], first[b])
        first = first.copy()
        np.minimum.at(first, first[a], low)
        np.minimum.at(first, first[b], low)
        while not np.array_equal(first, first[first]):
            first = first[first]
    return first
