"""Which classes are taken for which: their order, the worst pairs, and the matrix as a picture."""

import io
import warnings
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from jaxnext.errors import printable

_LABELLED, _COUNTED, _LENGTH = 120, 30, 24
"""Up to so many classes have their names, and counts in the cells, in a picture; and so many letters of a name."""
_OPTIMAL = 300
"""Up to so many classes the order's ends are turned so that neighbours are alike, which takes cubic time."""


class Pair(NamedTuple):
    """Images of one class that were predicted as another."""

    truth: int
    predicted: int
    images: int
    share: float
    """of the class's images"""


def clustered_order(matrix: NDArray[np.int64]) -> list[int]:
    """Return the classes in an order in which those that are taken for each other stand together.

    It is that of the leaves of an average-linkage clustering; classes are the closer, the larger the share of the one's
    images that were predicted as the other, or the reverse, on average.

    Args:
        matrix: ``[classes, classes]``, images by label and prediction.
    """
    count = len(matrix)
    if count < 3:
        return list(range(count))
    # Imported here, for it takes a second.
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    distance = 1 - (shares + shares.T) / 2
    np.fill_diagonal(distance, 0)
    return leaves_list(linkage(squareform(distance), "average", optimal_ordering=count <= _OPTIMAL)).tolist()


def confused_pairs(matrix: NDArray[np.int64], most: int) -> list[Pair]:
    """Return the pairs of label and other prediction with the most images, of equal ones those with the larger share.

    Args:
        matrix: ``[classes, classes]``, images by label and prediction.
        most: how many pairs.
    """
    off, support = matrix * (1 - np.eye(len(matrix), dtype=np.int64)), matrix.sum(1)
    found = [Pair(i, j, int(off[i, j]), float(off[i, j] / support[i])) for i, j in np.argwhere(off).tolist()]
    return sorted(found, key=lambda pair: (-pair.images, -pair.share, pair.truth, pair.predicted))[:most]


def confusion_picture(matrix: NDArray[np.int64], classes: tuple[str, ...]) -> Figure:
    """Draw a matrix: the share of each class's images by prediction, with counts where there is room.

    Args:
        matrix: ``[classes, classes]``, images by label and prediction, in the order to be shown.
        classes: names in that order; letters that Matplotlib's font does not have are boxes.
    """
    count = len(matrix)
    side = min(max(4.5, 0.17 * count + 2), 24)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.add_subplot()
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    shown = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(shown, ax=axes, shrink=0.7, label="share of the class's images")
    axes.set_xlabel("predicted")
    axes.set_ylabel("label")
    if count <= _LABELLED:
        names = [_short(name) for name in classes]
        size = 9 if count <= _COUNTED else 6
        axes.set_xticks(range(count), names, rotation=90, fontsize=size, parse_math=False)
        axes.set_yticks(range(count), names, fontsize=size, parse_math=False)
    if count <= _COUNTED:
        for i, j in np.argwhere(matrix).tolist():
            colour = "white" if shares[i, j] > 0.5 else "black"
            axes.text(j, i, f"{matrix[i, j]}", ha="center", va="center", fontsize=7, color=colour)
    return figure


def png_of(figure: Figure, dpi: int = 120) -> bytes:
    """Return a drawn figure as a PNG file, without a word about letters that the font does not have."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        warnings.filterwarnings("ignore", "Matplotlib currently does not support", UserWarning)
        figure.savefig(file, format="png", dpi=dpi, bbox_inches="tight")
    return file.getvalue()


def _short(name: str) -> str:
    text = " ".join(printable(name).split())
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 1]}…"
