"""Holding out part of the images for validation, class by class."""

import numpy as np
from numpy.typing import NDArray


def stratified_split(
    labels: NDArray[np.int32], fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Splits examples so that every class gives about the same share.

    Of a class of n examples, ``round(n * fraction)`` are held out, but at least one, and at least one is left. A single
    example is left. The choice within a class depends on the seed, its label and its size alone.

    Args:
        labels: int32 ``[n]``, at least 0.
        fraction: share held out, between 0 and 1.
        seed: at least 0.

    Returns:
        Indices left and indices held out, int64, each in ascending order.
    """
    held_out = np.zeros(len(labels), bool)
    by_class = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    for label, members in enumerate(np.split(by_class, np.cumsum(sizes)[:-1])):
        if len(members) < 2:
            continue
        count = min(max(round(len(members) * fraction), 1), len(members) - 1)
        # The orders of the epochs are drawn from [seed, epoch], epochs from 1: the 0 keeps the two apart.
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0, label])))
        held_out[members[generator.permutation(len(members))[:count]]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
