"""Whether a classifier is as often right as it says: reliability, its expected error, and temperature scaling."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxnext.reporting.predictions import Predictions

BINS = 15
"""Of equal width, as in C. Guo et al., On Calibration of Modern Neural Networks, 2017."""
PARTS = 5
"""Of the images, of which each is measured at the temperature of the others."""
_HALVINGS = 40
_LIMIT = 100.0


class Reliability(NamedTuple):
    """Images by the probability of their predicted class, a bin each."""

    images: NDArray[np.int64]
    """of each bin"""
    confidence: NDArray[np.float64]
    """mean; NaN without images"""
    accuracy: NDArray[np.float64]
    """the same"""

    @property
    def error(self) -> float:
        """Return the expected calibration error: the mean over the images of how far accuracy is from confidence."""
        gap = np.where(self.images > 0, np.abs(self.accuracy - self.confidence), 0)
        return float(self.images @ gap / self.images.sum())


def bin_of(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin of each probability; a bin has its upper end, as in ``sklearn.calibration.calibration_curve``."""
    return np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], confidence)


def reliability(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> Reliability:
    """Return the bins of images.

    Args:
        confidence: ``[n]``, probability of the predicted class.
        correct: ``[n]``, whether it was right.
    """
    bins = bin_of(confidence)
    count = np.bincount(bins, minlength=BINS)
    sums = (np.bincount(bins, weights=each, minlength=BINS) for each in (confidence, correct))
    means = [np.divide(each, count, out=np.full(BINS, np.nan), where=count > 0) for each in sums]
    return Reliability(count, *means)


def temperature(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """Return the temperature by which logits are divided for the least log loss, from 0.01 to 100.

    Args:
        probabilities: ``[n, classes]``; their logarithms are logits but for a constant of each image.
        truth: ``[n]``, labels.
    """
    logits = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    wanted = logits[np.arange(len(truth)), truth].mean()
    # The loss is convex in the inverse temperature, and its slope there is the mean logit less the label's.
    low, high = -np.log(_LIMIT), np.log(_LIMIT)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        slope = (_softmax(logits * np.exp(middle)) * logits).sum(1).mean() - wanted
        low, high = (low, middle) if slope > 0 else (middle, high)
    return float(np.exp(-(low + high) / 2))


def scaled(probabilities: NDArray[np.float64], by: float) -> NDArray[np.float64]:
    """Return the probabilities at a temperature."""
    return _softmax(np.log(np.maximum(probabilities, np.finfo(np.float64).tiny)) / by)


def cross_scaled(predictions: Predictions, seed: int) -> NDArray[np.float64]:
    """Return the probabilities of each fifth of the images at the temperature that suits the others.

    One that was fitted to the images it is measured on would look better than it is. Each part has its share of the
    images that are predicted wrong: to images without any, no temperature is low enough.

    Args:
        predictions: of at least two images.
        seed: of the draw of the parts.
    """
    drawn = np.random.default_rng(seed).permutation(len(predictions))
    part = np.empty(len(predictions), np.int64)
    part[drawn[np.argsort(predictions.correct[drawn], kind="stable")]] = np.arange(len(predictions)) % PARTS
    result = predictions.probabilities.copy()
    for number in range(min(PARTS, len(predictions))):
        own = part == number
        by = temperature(predictions.probabilities[~own], predictions.truth[~own])
        result[own] = scaled(predictions.probabilities[own], by)
    return result


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)
