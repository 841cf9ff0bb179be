"""Whether what was exported gives the net's own answers: images to ask about, and the comparison."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jaxnext.data.bad_image import CorruptImage, bad_image
from jaxnext.data.decode import decode
from jaxnext.data.pixels import Pixels
from jaxnext.data.resize import resize
from jaxnext.engine import averaging
from jaxnext.engine.padding import pad_rows
from jaxnext.errors import JaxnextError
from jaxnext.inference.exporter import Exporter, Net
from jaxnext.inference.rows import rows_of
from jaxnext.models.folding import fold
from jaxnext.types import UInt8Image

TOLERANCE = 1e-4
"""Largest error of a logit, over the largest logit."""
MADE = 8
MOST = 32
BATCH = 8
_PATCHES = 6


class Comparison(NamedTuple):
    """How far what was exported is from the net."""

    error: float
    """the largest, over the largest logit"""
    level: int
    """images whose label is another: their two classes are level to within the tolerance"""


def made_images(pixels: Pixels, count: int = MADE) -> list[UInt8Image]:
    """Return smooth random images of the net's size, always the same ones."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (count, _PATCHES, _PATCHES, 3), np.uint8)
    size = (pixels.size[1], pixels.size[0])
    return [np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)) for image in coarse]


def given_images(data: Sequence[Path], pixels: Pixels, warn: Callable[[str], None]) -> list[UInt8Image]:
    """Read images of a user, not yet resized; of more than ``MOST``, as many at even distances.

    Args:
        data: folders, archives and image files.
        pixels: the rules by which files become images.
        warn: shows a line about what was left out.

    Raises:
        JaxnextError: there are none, or one cannot be read.
    """
    source = rows_of(data, None, True, warn).source
    images = []
    for i in np.unique(np.linspace(0, len(source) - 1, MOST).round().astype(int)).tolist():
        try:
            images.append(decode(source.read(i), pixels))
        except (CorruptImage, OSError) as error:
            raise JaxnextError(str(bad_image(source.location(i), error))) from error
    return images


def compare(net: Net, exporter: Exporter, output: Path, images: Sequence[UInt8Image]) -> Comparison | None:
    """Ask the net and what was written of it about the same images.

    The label of an image may be another where the two classes' logits, in the net, are as close as the tolerance lets
    both be off; any other label has an error above the tolerance.

    Args:
        net: that was exported.
        exporter: that has written it.
        output: what it wrote.
        images: of any sizes.

    Returns:
        the figures; ``None`` where the format's runtime is not there.

    Raises:
        JaxnextError: the error is above the tolerance, not finite, or there are other classes.
    """
    answer = exporter.run(net, output, images)
    if answer is None:
        return None
    seen = np.stack([resize(image, net.pixels) for image in images])
    logits = jax.jit(functools.partial(averaging.logits, model=net.model, temperature=net.temperature))
    folded = fold(net.variables, net.model)
    expected = in_batches(lambda part: logits(folded, part), seen)
    return differences(expected, np.asarray(answer), str(output))


def in_batches(function: Callable[[NDArray[np.uint8]], jax.Array], images: NDArray[np.uint8]) -> NDArray[np.floating]:
    """Compute a function of images ``[n, H, W, 3]``, so many at a time, the last padded: it is compiled once."""
    rows = min(len(images), BATCH)
    parts = [images[start : start + rows] for start in range(0, len(images), rows)]
    return np.concatenate([np.asarray(function(pad_rows(part, rows)))[: len(part)] for part in parts])


def differences(expected: NDArray[np.floating], found: NDArray[np.floating], name: str) -> Comparison:
    """Compare logits ``[n, classes]`` with others, or with the logarithms of the probabilities that they give.

    Raises:
        JaxnextError: as ``compare``.
    """
    if found.shape != expected.shape:
        raise JaxnextError(f"{name}: expected logits {list(expected.shape)} as the net's, found {list(found.shape)}")
    wide = expected.astype(np.float64)
    largest = np.abs(wide).max()
    highest = wide.max(1, keepdims=True)
    logarithms = wide - highest - np.log(np.exp(wide - highest).sum(1, keepdims=True))
    # A logarithm of a probability that is too small for the format is -inf.
    error = min(np.abs(found - form).max() / (largest or 1) for form in (wide, logarithms))
    if not error <= TOLERANCE:
        raise JaxnextError(
            f"{name}: expected the net's logits to {TOLERANCE:g} of the largest, found them off by {error:.2g} of it; "
            "nothing was written"
        )
    return Comparison(float(error), int((expected.argmax(1) != found.argmax(1)).sum()))
