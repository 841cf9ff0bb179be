"""Epochs in which every class comes equally often, however many images it has."""

import dataclasses
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True, eq=False)
class Balance:
    """Draws the examples of an epoch; a function of seed and epoch alone."""

    kind: Literal["oversample", "weights"]
    labels: NDArray[np.int32]
    """of all examples, int32 ``[n]``, at least 0"""

    def __len__(self) -> int:
        """Examples in an epoch: with weights as many as there are, else the largest class's number for each class."""
        counts = np.bincount(self.labels)
        return len(self.labels) if self.kind == "weights" else int(counts.max() * np.count_nonzero(counts))

    def draw(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """Return the examples of an epoch in their order.

        ``oversample``: of each class every example equally often, or once more, so that all classes have the number of
        the largest; ``weights``: each place independently, first a class and then one of its examples.

        Args:
            seed: at least 0.
            epoch: from 1.

        Returns:
            int64 ``[len(self)]``.
        """
        # The 1 keeps these draws apart from the orders of unbalanced epochs.
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, epoch, 1])))
        members = np.argsort(self.labels, kind="stable").astype(np.int64)
        counts = np.bincount(self.labels)
        starts, counts = (np.cumsum(counts) - counts)[counts > 0], counts[counts > 0]
        if self.kind == "weights":
            chosen = generator.integers(len(counts), size=len(self.labels))
            return members[starts[chosen] + generator.integers(counts[chosen])]
        most = int(counts.max())
        parts = []
        for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
            shuffled = generator.permutation(members[start : start + count])
            parts.append(np.resize(shuffled, most))
        return generator.permutation(np.concatenate(parts))


def balanced(kind: Literal["none", "oversample", "weights"], labels: NDArray[np.int32]) -> Balance | None:
    """Return what draws balanced epochs; ``None`` where every example comes once an epoch."""
    return None if kind == "none" else Balance(kind, labels)
