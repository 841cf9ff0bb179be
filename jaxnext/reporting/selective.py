"""Accuracy over the images that a classifier is sure of: coverage against accuracy, and the threshold for a wanted one.

Selective classification by the probability of the predicted class (Y. Geifman and R. El-Yaniv, Selective Classification
for Deep Neural Networks, 2017), without their bound: the figures are those of the images they were chosen on.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxnext.reporting.intervals import Figure, wilson

COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Shares of the images that are shown."""


class Selection(NamedTuple):
    """What answering only the surest images gives."""

    threshold: float
    """answered is from this probability of the predicted class on"""
    answered: int
    """images"""
    of: int
    """all images"""
    accuracy: Figure
    """of those that are answered"""

    @property
    def coverage(self) -> float:
        """Return the share of the images that are answered."""
        return self.answered / self.of


def selections(confidence: NDArray[np.float64], correct: NDArray[np.bool_], classes: int) -> list[Selection]:
    """Return every selection that a threshold can make, from the one that answers all images to the fewest.

    Images of equal probability are answered together. A threshold lies in the middle between the probabilities of the
    last image that is answered and the first that is not, so that rounding does not decide.

    Args:
        confidence: ``[n]``, probability of the predicted class; at least one image.
        correct: ``[n]``, whether it was right.
        classes: how many there are: below one in so many no predicted class can be.
    """
    order = np.argsort(-confidence, kind="stable")
    sorted_down, right = confidence[order], np.cumsum(correct[order])
    ends = np.flatnonzero(np.append(sorted_down[1:] < sorted_down[:-1], True))
    following = np.append(sorted_down[1:], min(1 / classes, sorted_down[-1]))
    return [
        Selection(
            float((sorted_down[end] + following[end]) / 2),
            end + 1,
            len(confidence),
            wilson(int(right[end]), end + 1),
        )
        for end in reversed(ends.tolist())
    ]


def at_coverages(found: Sequence[Selection], coverages: Sequence[float] = COVERAGES) -> list[Selection]:
    """Return for each coverage the selection with the fewest images that has at least it."""
    return [min((s for s in found if s.coverage >= least), key=lambda s: s.answered) for least in coverages]


def for_accuracy(found: Sequence[Selection], accuracy: float) -> Selection | None:
    """Return the selection with most images whose accuracy is at least the wanted one; ``None`` where none has it."""
    return next((selection for selection in found if selection.accuracy.value >= accuracy), None)
