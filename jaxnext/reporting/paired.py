"""Whether one setting is more accurate than another: differences paired over the images that both were validated on."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxnext.reporting.intervals import LEVEL, RESAMPLES, Figure

FEW_DISCORDANT = 25
"""Below so many discordant pairs McNemar's test is exact."""
POWER = 0.8


class McNemar(NamedTuple):
    """What McNemar's test says."""

    statistic: float
    """the smaller count where the test is exact, else chi-square"""
    p_value: float
    exact: bool


class Block(NamedTuple):
    """Runs of two settings that were validated on the same images: those of a fold, or of a split."""

    images: NDArray[np.int64]
    """``[n]``, numbers among the images of all blocks, which may share some"""
    first: NDArray[np.bool_]
    """``[runs, n]``, what the first setting's runs got right"""
    second: NDArray[np.bool_]
    """``[runs, n]``, the same of the second's, of which there may be more or fewer"""


def mcnemar(only_first: int, only_second: int) -> McNemar:
    """Test whether two classifiers are equally accurate, from the images that only one of them got right.

    Equals ``mcnemar`` of statsmodels 0.15.0, with ``exact`` below ``FEW_DISCORDANT`` discordant pairs and the
    continuity correction above (Q. McNemar, 1947).

    Args:
        only_first: images that only the first got right.
        only_second: that only the second did.
    """
    pairs, least = only_first + only_second, min(only_first, only_second)
    if pairs < FEW_DISCORDANT:
        tail = sum(math.comb(pairs, count) for count in range(least + 1)) / 2**pairs
        return McNemar(float(least), min(1.0, 2 * tail), True)
    chi_square = (abs(only_first - only_second) - 1) ** 2 / pairs
    return McNemar(chi_square, math.erfc(math.sqrt(chi_square / 2)), False)


def differences(block: Block) -> NDArray[np.float64]:
    """Return by how much more often the first setting is right on each image, ``[n]``, from -1 to 1."""
    return block.first.mean(0) - block.second.mean(0)


def better(blocks: Sequence[Block]) -> tuple[int, int]:
    """Return how many images the first setting gets right more often, and how many the second does.

    An image of several blocks counts once, by its mean over them. Of one run each these are McNemar's discordant pairs,
    and of several his test is a sign test.
    """
    count = _images(blocks)
    sums = np.zeros(count)
    for block in blocks:
        sums += np.bincount(block.images, differences(block), count)
    # Sums of shares are zero but for rounding.
    return int((sums > 1e-9).sum()), int((sums < -1e-9).sum())


def difference(blocks: Sequence[Block], seed: int, resamples: int = RESAMPLES) -> Figure:
    """Return the first setting's accuracy less the second's over the images of all blocks, with its interval.

    The interval is the percentile bootstrap's: blocks are drawn with replacement, in each of them runs of either
    setting, and images, which are the same for all blocks and runs. Of one block and one run each it is the paired
    bootstrap over images, equal to ``scipy.stats.bootstrap`` with a generator of the same seed.

    Args:
        blocks: at least one.
        seed: of the draws.
        resamples: how often.
    """
    random, count = np.random.default_rng(seed), _images(blocks)
    parts = [(block.images, block.first.astype(float), block.second.astype(float)) for block in blocks]
    found = np.empty(resamples)
    for place in range(resamples):
        weights = np.bincount(random.integers(0, count, count), minlength=count).astype(float)
        gain = total = 0.0
        for number in random.integers(0, len(parts), len(parts)).tolist():
            images, first, second = parts[number]
            own = weights[images]
            gain += _drawn(first @ own, random) - _drawn(second @ own, random)
            total += own.sum()
        found[place] = gain / total if total else 0.0
    low, high = np.percentile(found, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    each = np.concatenate([differences(block) for block in blocks])
    return Figure(float(each.mean()), float(low), float(high))


def images_to_decide(each: NDArray[np.float64]) -> int | None:
    """Return how many images would show a difference as large as the one found, with a power of 0.8 at the 5 % level.

    Of one run each this is the sample size of McNemar's test from the share of discordant pairs (R. J. Connor, 1987).

    Args:
        each: ``[n]``, differences of the images.

    Returns:
        ``None`` where no difference was found.
    """
    mean, square = float(each.mean()), float((each * each).mean())
    if abs(mean) < 1e-12:
        return None
    normal = statistics.NormalDist()
    under_null = normal.inv_cdf((1 + LEVEL) / 2) * math.sqrt(square)
    as_found = normal.inv_cdf(POWER) * math.sqrt(max(square - mean * mean, 0.0))
    return math.ceil((under_null + as_found) ** 2 / (mean * mean))


def _images(blocks: Sequence[Block]) -> int:
    return 1 + max(int(block.images.max()) for block in blocks)


def _drawn(values: NDArray[np.float64], random: np.random.Generator) -> float:
    """Return the mean of some values, drawn with replacement."""
    return float(values[random.integers(0, len(values), len(values))].mean())
