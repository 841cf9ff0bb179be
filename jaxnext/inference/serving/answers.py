"""From probabilities to what is said of an image."""

from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from jaxnext.errors import printable
from jaxnext.inference.explain import Method
from jaxnext.inference.threshold import UNKNOWN
from jaxnext.reporting.overlay import overlay, stretched
from jaxnext.reporting.thumbnails import data_uri
from jaxnext.types import UInt8Image

_SIDE, _QUALITY = 256, 85
"""Pixels of a picture's longer side, and quality of its JPEG."""
_DIGITS = 6


class Likely(TypedDict):
    """A class and its probability."""

    label: str
    probability: float


def answer(
    name: str, classes: tuple[str, ...], probabilities: NDArray[np.floating], top_k: int, threshold: float | None
) -> dict[str, Any]:
    """Return what is said of an image.

    Args:
        name: of its file.
        classes: of the net.
        probabilities: ``[classes]``.
        top_k: of how many classes.
        threshold: below which the largest probability makes it ``unknown``; ``None``: it never is.
    """
    likely = np.argsort(-probabilities, kind="stable")[:top_k].tolist()
    top: list[Likely] = [
        {"label": printable(classes[number]), "probability": round(float(probabilities[number]), _DIGITS)}
        for number in likely
    ]
    known = threshold is None or float(probabilities[likely[0]]) >= threshold
    return {"name": name, "known": known, "label": top[0]["label"] if known else UNKNOWN, "top": top}


def explanation(image: UInt8Image, values: NDArray[np.floating], method: Method, label: str) -> dict[str, str]:
    """Return a picture of where the net looks, as the address of a JPEG that is its own text.

    Args:
        image: as the net sees it.
        values: the map, ``[height, width]``.
        method: of the map; that of CBAM is stretched.
        label: of the class that is explained.
    """
    shown = stretched(values) if method == "cbam" else values
    picture = data_uri(overlay(image, shown, _SIDE), _SIDE, _QUALITY)
    return {"method": method, "label": label, "image": picture}
