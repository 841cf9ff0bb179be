"""The nearest of many vectors by cosine similarity, kept while they come batch by batch."""

import numpy as np
from numpy.typing import NDArray


class Nearest:
    """For each of some vectors the most similar ones of those that were added.

    Attributes:
        similarities: ``[queries, up to count]``, the largest first.
        numbers: of the vectors, in the same places.
    """

    def __init__(self, queries: NDArray[np.floating], count: int) -> None:
        """Take the vectors ``[queries, C]`` whose neighbours are wanted, and how many of each."""
        self._queries = unit(queries)
        self._count = count
        self.similarities = np.zeros((len(queries), 0))
        self.numbers = np.zeros((len(queries), 0), np.int64)

    def add(self, numbers: NDArray[np.int64], vectors: NDArray[np.floating]) -> None:
        """Add vectors ``[n, C]`` with their numbers ``[n]``; of equally similar ones that added first stays first."""
        similarities = np.concatenate([self.similarities, self._queries @ unit(vectors).T], 1)
        all_numbers = np.concatenate([self.numbers, np.broadcast_to(numbers, (len(self.numbers), len(numbers)))], 1)
        order = np.argsort(-similarities, axis=1, kind="stable")[:, : self._count]
        self.similarities = np.take_along_axis(similarities, order, 1)
        self.numbers = np.take_along_axis(all_numbers, order, 1)


def unit(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return vectors ``[n, C]`` of length 1; one of zeros stays, so that it is similar to none."""
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return wide / np.where(lengths > 0, lengths, 1)
