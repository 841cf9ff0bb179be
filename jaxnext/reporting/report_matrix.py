"""The confusion matrix of a report, as SVG whose cells can be chosen."""

import numpy as np
from numpy.typing import NDArray

from jaxnext.errors import printable
from jaxnext.reporting.page import text

_LETTERS, _FEWER = 18, 13
"""Letters of a class's name beside the matrix, and beside one of many classes; all are shown when one points at it."""
_COUNTED = 30
"""Up to so many classes the cells have their counts in them."""


def matrix_svg(matrix: NDArray[np.int64], order: list[int], classes: tuple[str, ...]) -> str:
    """Return the matrix: a square for each pair of label and prediction that some image has.

    Args:
        matrix: ``[classes, classes]``, images by label (rows) and prediction.
        order: the classes, as rows and columns show them.
        classes: their names.
    """
    count = len(order)
    cell, size = (28, 11) if count <= _COUNTED else (16, 10) if count <= 60 else (11, 9)
    names = [_short(classes[i], _LETTERS if count <= 60 else _FEWER) for i in order]
    margin = 12 + int(0.62 * size * max(map(len, names)))
    side = margin + count * cell + 2
    parts = [
        f'<svg class=matrix width="{side}" height="{side}" viewBox="0 0 {side} {side}" font-size="{size}" '
        'role="img" aria-label="Confusion matrix: labels in rows, predictions in columns">',
        f'<rect class=ground x="{margin}" y="{margin}" width="{count * cell}" height="{count * cell}"/>',
    ]
    middle = margin + 0.5 * cell + 0.35 * size
    for place, (number, name) in enumerate(zip(order, names, strict=True)):
        at, full = middle + place * cell, text(classes[number])
        parts.append(f'<text x="{margin - 5}" y="{at:g}" text-anchor="end">{text(name)}<title>{full}</title></text>')
        parts.append(
            f'<text transform="translate({at:g} {margin - 5}) rotate(-90)">{text(name)}<title>{full}</title></text>'
        )
    rows = matrix[np.ix_(order, order)]
    shares = rows / np.maximum(rows.sum(1, keepdims=True), 1)
    for i, j in np.argwhere(rows).tolist():
        x, y, share = margin + j * cell, margin + i * cell, shares[i, j]
        kind = "right" if i == j else "mistaken"
        parts.append(
            f'<rect class={kind} data-cell="{order[i]},{order[j]}" x="{x}" y="{y}" width="{cell - 1}" '
            f'height="{cell - 1}" fill-opacity="{0.15 + 0.85 * share**0.5:.2f}"/>'
        )
        if count <= _COUNTED:
            strong = " class=strong" if share > 0.5 else ""
            parts.append(
                f'<text{strong} x="{x + 0.5 * cell:g}" y="{y + 0.64 * cell:g}" text-anchor="middle">{rows[i, j]}</text>'
            )
    return "".join([*parts, "</svg>"])


def _short(name: str, most: int) -> str:
    name = " ".join(printable(name).split())
    return name if len(name) <= most else f"{name[: most - 1]}…"
