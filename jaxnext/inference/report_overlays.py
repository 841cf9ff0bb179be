"""The maps that a report shows: computed for a few images of those that were predicted."""

from collections.abc import Iterator, Sequence

import numpy as np

from jaxnext.data.bad_image import CorruptImage
from jaxnext.data.decode import decode
from jaxnext.data.resize import resize
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.inference.evaluate import Evaluated
from jaxnext.inference.explain import Method
from jaxnext.reporting.overlay import overlay, stretched
from jaxnext.reporting.report_maps import ImageMaps, images_with_maps, within
from jaxnext.reporting.thumbnails import data_uri
from jaxnext.types import UInt8Image

LETTERS = 400_000
"""Of all these pictures together at most."""
_SIDE, _QUALITY = 112, 75
"""Pixels of a picture's longer side, and quality of its JPEG."""
_BATCH = 6
"""Images at a time: there are few."""


def report_maps(classifier: TrainedClassifier, evaluated: Evaluated) -> list[ImageMaps]:
    """Return the images of a report that have maps, each with Grad-CAM, and CBAM's where the net has it.

    Args:
        classifier: the net.
        evaluated: what it predicted; an image that cannot be read any more is left out.
    """
    numbers = images_with_maps(evaluated.predictions)
    batches = (numbers[first : first + _BATCH] for first in range(0, len(numbers), _BATCH))
    return within((image for batch in batches for image in _of_batch(classifier, evaluated, batch)), LETTERS)


def _of_batch(classifier: TrainedClassifier, evaluated: Evaluated, numbers: Sequence[int]) -> Iterator[ImageMaps]:
    read = {number: image for number in numbers if (image := _seen(classifier, evaluated, number)) is not None}
    if not read:
        return
    images, chosen = np.stack(list(read.values())), list(read)
    predicted = evaluated.predictions.predicted[chosen].astype(np.int32)

    def maps(method: Method) -> np.ndarray:
        return classifier.maps(images, predicted, method, _BATCH)

    rows = [("Grad-CAM", maps("gradcam"))]
    if classifier.has_spatial_map:
        rows.append(("CBAM", np.stack([stretched(values) for values in maps("cbam")])))
    for place, (number, image) in enumerate(read.items()):
        pictures = [("image", data_uri(image, _SIDE, _QUALITY))]
        pictures += [(name, data_uri(overlay(image, found[place], _SIDE), _SIDE, _QUALITY)) for name, found in rows]
        yield ImageMaps(number, tuple(pictures))


def _seen(classifier: TrainedClassifier, evaluated: Evaluated, number: int) -> UInt8Image | None:
    try:
        data = evaluated.source.read(int(evaluated.numbers[number]))
        return resize(decode(data, classifier.pixels), classifier.pixels)
    except (CorruptImage, OSError):  # it could be read before
        return None
