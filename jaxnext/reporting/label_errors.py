"""Images whose label is likely wrong: the classifier, which has not learned them, disagrees confidently."""

from typing import NamedTuple

import numpy as np

from jaxnext.reporting.predictions import Predictions


class LabelError(NamedTuple):
    """An image whose label may be wrong."""

    number: int
    """of the image among the predictions"""
    suggested: int
    """class that it may be of"""
    self_confidence: float
    """probability of its label"""
    normalized_margin: float
    """half of one more than by how much its label is likelier than any other class; 0 where another is certain"""


def likely_label_errors(predictions: Predictions) -> list[LabelError]:
    """Return the images with a likely wrong label, the least confident in their label first.

    An image is confidently of the likeliest of those classes whose probability is at least that class's mean over the
    images with its label. It is listed where that is another class than its label, and its label is not the likeliest
    (C. Northcutt et al., Confident Learning, 2021; cleanlab's ``find_label_issues`` by ``confident_learning``, ranked
    by ``self_confidence``).
    """
    truth, rows, images = predictions.truth, predictions.probabilities, np.arange(len(predictions))
    count = np.bincount(truth, minlength=len(predictions.classes))
    sums = np.bincount(truth, weights=predictions.of_truth, minlength=len(predictions.classes))
    # No image is confidently of a class without images.
    least = np.divide(sums, count, out=np.full(len(count), np.inf), where=count > 0)
    confident = np.where(rows >= least, rows, -1.0)
    suggested = confident.argmax(1)
    found = (confident[images, suggested] >= 0) & (suggested != truth) & ~predictions.correct
    others = rows.copy()
    others[images, truth] = -1
    margin = (predictions.of_truth - others.max(1) + 1) / 2
    chosen = np.flatnonzero(found)
    order = chosen[np.lexsort((margin[chosen], predictions.of_truth[chosen]))]
    return [LabelError(i, int(suggested[i]), float(predictions.of_truth[i]), float(margin[i])) for i in order.tolist()]
