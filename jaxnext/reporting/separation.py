"""How well a score tells images of known classes from others."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SHARE = 0.95
"""Of the known images that are accepted where the false ones are counted."""


class Separation(NamedTuple):
    """The two figures that the field reports (D. Hendrycks and K. Gimpel, A Baseline for Detecting Misclassified and
    Out-of-Distribution Examples, 2017).
    """

    auroc: float
    """how often a known image scores higher than another, ties half; ``sklearn.metrics.roc_auc_score``"""
    false_share: float
    """of the others that are accepted where at least 95 % of the known ones are (FPR at 95 % TPR)"""
    threshold: float
    """the score from which on images are accepted there"""


def separation(known: NDArray[np.floating], others: NDArray[np.floating]) -> Separation:
    """Compute the figures of a score that is higher for known images.

    Args:
        known: ``[n]``, at least one.
        others: ``[m]``, at least one.
    """
    ordered = np.sort(others.astype(np.float64))
    score = known.astype(np.float64)
    below, not_above = (np.searchsorted(ordered, score, side) for side in ("left", "right"))
    auroc = float((below + not_above).mean() / (2 * len(ordered)))
    # The least score of the ceil(95 %) highest known ones.
    threshold = float(np.sort(score)[len(score) - int(np.ceil(SHARE * len(score)))])
    return Separation(auroc, float((ordered >= threshold).mean()), threshold)
