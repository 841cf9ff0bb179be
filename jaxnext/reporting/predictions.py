"""What a classifier says of labelled images, from which every figure of a report is computed."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jaxnext.errors import JaxnextError


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """Labels and probabilities of ``n`` images, in the order in which they were predicted."""

    paths: Sequence[str]
    """where each image is"""
    truth: NDArray[np.int64]
    """``[n]``, labels"""
    probabilities: NDArray[np.float64]
    """``[n, classes]``, each row's sum one"""
    classes: tuple[str, ...]
    """names, in the order of the columns"""

    @classmethod
    def of(
        cls, paths: Sequence[str], truth: NDArray[np.integer], rows: NDArray[np.floating], classes: Sequence[str]
    ) -> "Predictions":
        """Make them of what a net computed, in any precision: float64 rows whose sum is one but for float64's rounding.

        Args:
            paths: where each image is.
            truth: ``[n]``, labels.
            rows: ``[n, classes]``, probabilities.
            classes: names of the columns.

        Raises:
            JaxnextError: no images, or a probability that is not finite.
        """
        if not len(rows):
            raise JaxnextError("expected images to measure on, found none that can be read")
        wrong = np.flatnonzero(~np.isfinite(rows).all(1))
        if len(wrong):
            raise JaxnextError(f"{paths[wrong[0]]}: expected finite probabilities, found {rows[wrong[0]].tolist()[:5]}")
        wide = rows.astype(np.float64)
        return cls(paths, truth.astype(np.int64), wide / wide.sum(1, keepdims=True), tuple(classes))

    def __len__(self) -> int:
        return len(self.truth)

    @functools.cached_property
    def predicted(self) -> NDArray[np.int64]:
        """Return the likeliest class of each image, the first of equal ones."""
        return self.probabilities.argmax(1)

    @functools.cached_property
    def confidence(self) -> NDArray[np.float64]:
        """Return the probability of each image's predicted class."""
        return self.probabilities.max(1)

    @functools.cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Return whether each image's predicted class is its label."""
        return self.predicted == self.truth

    @functools.cached_property
    def of_truth(self) -> NDArray[np.float64]:
        """Return the probability of each image's label."""
        return self.probabilities[np.arange(len(self)), self.truth]

    @functools.cached_property
    def confusion(self) -> NDArray[np.int64]:
        """Return how many images of each class, in rows, were predicted as each, in columns."""
        count = len(self.classes)
        return np.bincount(self.truth * count + self.predicted, minlength=count * count).reshape(count, count)
