"""The pictures of a run: its first batch as the network gets it, and what the network makes of validation images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxnext.atomic import whole_file
from jaxnext.data.loader import HostBatch
from jaxnext.engine.pictured import Pictured
from jaxnext.normalization import denormalize
from jaxnext.reporting.sheet import Tile, fits, fitting, sheet
from jaxnext.types import UInt8Image

MOST = 64
"""Images on a sheet."""


def first_batch(
    found: Pictured,
    host: HostBatch,
    classes: Sequence[str],
    normalized_by: tuple[tuple[float, ...], tuple[float, ...]],
    processes: int = 1,
) -> UInt8Image:
    """Return the sheet of a training batch.

    Args:
        found: what the network gets.
        host: the rows it was made of.
        classes: names of the labels.
        normalized_by: mean and deviation of ``found``'s images.
        processes: of the run; of several this one has only some of the batch.
    """
    counted = np.flatnonzero(host.mask)
    rows = counted[:MOST]
    images = denormalize(found.image[rows], *normalized_by)
    tiles = []
    for image, row in zip(images, rows, strict=True):
        own = classes[int(host.label[row])]
        lines = (own,)
        if found.partner is not None and found.shares is not None:
            lines = mixed_label(own, classes[int(found.partner[row])], float(found.shares[0]))
        tiles.append(Tile(image, lines))
    where = f", those of process 0 of {processes}" if processes > 1 else ""
    title = f"first training batch as the network gets it\n{_count(len(rows), len(counted))}{where}, {_size(images)}"
    return sheet(tiles, title)


def mixed_label(own: str, partner: str, share: float) -> tuple[str, ...]:
    """Return the label of an image with this share of its own, in one line or two."""
    if share == 1:
        return (own,)
    ends = f" {_share(share)}", f" {_share(1 - share)}"
    line = f"{own}{ends[0]} / {partner}{ends[1]}"
    return (line,) if fits(line) else (fitting(own, ends[0]), fitting(partner, ends[1]))


def validation_batch(
    images: NDArray[np.uint8], labels: NDArray[np.int32], logits: NDArray[Any], classes: Sequence[str], epoch: int
) -> UInt8Image:
    """Return the sheet of validation images with label, prediction and its probability.

    Args:
        images: ``[N, H, W, 3]`` of bytes.
        labels: ``[N]``.
        logits: ``[N, classes]``.
        classes: names of the labels.
        epoch: after which they are predicted.
    """
    probabilities = np.exp(logits - logits.max(-1, keepdims=True), dtype=np.float64)
    probabilities /= probabilities.sum(-1, keepdims=True)
    predicted = probabilities.argmax(-1)
    tiles = []
    for image, label, guess, row in zip(images, labels.tolist(), predicted.tolist(), probabilities, strict=True):
        said = fitting(f"{'✓' if guess == label else '✗'} {classes[guess]}", f" {row[guess]:.0%}")
        lines: tuple[str, ...] = str(classes[label]), said
        tiles.append(Tile(image, lines, guess == label))
    right = int((predicted == labels).sum())
    title = f"validation after epoch {epoch}: label, then prediction\n{right} of {_count(len(tiles), len(tiles))} right"
    return sheet(tiles, f"{title} (blue), the others wrong (orange)")


def write_picture(picture: UInt8Image, path: Path) -> None:
    """Write a PNG file, whole or not at all.

    Raises:
        JaxnextError: it cannot be written.
    """
    from PIL import Image

    with whole_file(path, "wb") as file:
        Image.fromarray(picture).save(file, "PNG")


def _share(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _count(shown: int, there: int) -> str:
    number = f"{shown} of {there}" if shown < there else f"{shown}"
    return f"{number} image{'s' if there != 1 else ''}"


def _size(images: NDArray[np.uint8]) -> str:
    return f"{images.shape[1]}x{images.shape[2]} pixels"
