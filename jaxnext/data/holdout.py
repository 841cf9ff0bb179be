"""Holding out part of the images for validation, class by class: a share, or one of several folds."""

from collections.abc import Sequence

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


def stratified_folds(labels: NDArray[np.int32], folds: int, seed: int) -> NDArray[np.int64]:
    """Deals examples into folds so that every class, and all together, give each about the same number.

    Args:
        labels: int32 ``[n]``, at least 0.
        folds: at least 2.
        seed: at least 0.

    Returns:
        The fold of each example, int64 ``[n]``, from 0. Of each class, and of all, any two folds have the same number
        of examples or one more.
    """
    # The third number keeps these orders apart from those of stratified_split.
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0, 0, folds])))
    shuffled = generator.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    fold = np.empty(len(labels), np.int64)
    # Dealt on from class to class, small classes do not all end in the first folds.
    fold[by_class] = np.arange(len(labels)) % folds
    return fold


def grouped(
    labels: NDArray[np.int32], groups: NDArray[np.int64], shares: Sequence[float], seed: int
) -> NDArray[np.int64]:
    """Deals whole groups of examples into parts, so that of every class each part has about its share.

    Groups of one size are taken in an order that depends on the seed, larger ones first; each goes where it brings the
    counts of its classes nearest to the shares.

    Args:
        labels: int32 ``[n]``, at least 0.
        groups: int64 ``[n]``, the group of each example, from 0.
        shares: of the parts, in any unit.
        seed: at least 0.

    Returns:
        The part of each example, int64 ``[n]``.
    """
    totals = np.bincount(labels).astype(float)
    weight = np.asarray(shares, float) / np.sum(shares)
    room = weight[:, None] * totals
    sizes = np.bincount(groups)
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0, 1, len(shares)])))
    shuffled = generator.permutation(len(sizes))
    order = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    members = np.split(np.argsort(groups, kind="stable"), np.cumsum(sizes)[:-1])
    part = np.zeros(len(labels), np.int64)
    for group in order[: np.count_nonzero(sizes)].tolist():
        classes, counts = np.unique(labels[members[group]], return_counts=True)
        # The change of the sum over classes of the squared distance from the share, relative to the class's size.
        cost = ((counts * (counts - 2 * room[:, classes])) / totals[classes] ** 2).sum(1)
        chosen = int(np.argmin(cost))
        room[chosen, classes] -= counts
        part[members[group]] = chosen
    return part
