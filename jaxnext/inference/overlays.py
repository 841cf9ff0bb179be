"""A picture for each predicted image: what the net sees, and over it where it looks."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jaxnext.atomic import whole_file
from jaxnext.data.loader import HostBatch
from jaxnext.errors import UsageError
from jaxnext.inference.explain import Method, only_net
from jaxnext.inference.predictor import Predictor
from jaxnext.inference.safe_names import digest, folded, safe_part
from jaxnext.reporting.overlay import overlay, stretched

_LEAST_SIDE, _QUALITY = 256, 90
"""Pixels of a picture's longer side at least, and quality of its JPEG."""


class Explanation(NamedTuple):
    """Pictures that are asked for with the predictions."""

    folder: Path
    method: Method


def overlay_writer(
    classifier: Predictor, wanted: Explanation, data: Sequence[Path], names: Sequence[str], batch_size: int
) -> Callable[[HostBatch, NDArray[np.floating]], None]:
    """Return a function that writes the pictures of a batch, given its probabilities; it explains the predicted class.

    A map of CBAM is stretched, in each picture, from its least to its largest value.

    Args:
        classifier: one net.
        wanted: where the pictures are written, and of what.
        data: folders that images are read from; the pictures must not be in them.
        names: of the images, by their number.
        batch_size: images at a time.

    Raises:
        UsageError: an ensemble, a folder that images are read from, or ``cbam`` of a net without it.
        JaxnextError: from the function, where a picture cannot be written.
    """
    net = only_net(classifier, wanted.method)
    place = wanted.folder.resolve()
    for source in data:
        if place.is_relative_to(source.resolve()):
            raise UsageError(
                f"--explain: expected a folder outside of {source}, whose images are predicted, found {wanted.folder}"
            )
    file_of = picture_names(names, wanted.method)

    def write(host: HostBatch, probabilities: NDArray[np.floating]) -> None:
        classes = probabilities.argmax(1).astype(np.int32)
        maps = net.maps(host.image, classes, wanted.method, batch_size)
        for position in np.flatnonzero(host.mask).tolist():
            shown = stretched(maps[position]) if wanted.method == "cbam" else maps[position]
            picture = Image.fromarray(overlay(host.image[position], shown, _LEAST_SIDE))
            with whole_file(wanted.folder / file_of(int(host.ids[position])), "wb") as file:
                picture.save(file, "JPEG", quality=_QUALITY)

    return write


def picture_names(names: Sequence[str], method: str) -> Callable[[int], str]:
    r"""Return the function from an image's number to the path of its picture, safe and its own on any file system.

    It is the path of the image and ``.METHOD.jpg``. What a file system may take amiss is written as its bytes in UTF-8:
    ``..`` becomes ``%2E%2E`` and ``a:b`` becomes ``a%3Ab``. Names that a file system may take for one, as ``A.jpg`` and
    ``a.jpg``, and parts that are too long, have some letters of a digest.

    Args:
        names: of the images: relative paths, ``/`` between their parts.
        method: that the pictures are of.
    """
    ending = f".{method}.jpg"
    # Eight bytes an image are kept, not the names, of which there may be millions.
    hashes = np.fromiter((hash(folded(_safe(name, ending))) for name in names), np.int64, len(names))
    ordered = np.sort(hashes)
    twice = np.isin(hashes, ordered[1:][ordered[1:] == ordered[:-1]])

    def of(number: int) -> str:
        apart = digest(names[number]) if twice[number] else ""
        return _safe(names[number], ending) + apart + ending

    return of


def _safe(name: str, ending: str) -> str:
    *folders, last = name.split("/")
    return "/".join([*(safe_part(part, ending) for part in folders), safe_part(last)])
