"""Intervals in which the true value of a figure lies with 95 % confidence, had other images of the kind been drawn."""

import statistics
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
RESAMPLES = 1000


class Figure(NamedTuple):
    """A value and the ends of its interval; NaN where there is nothing to compute it from."""

    value: float
    low: float
    high: float


def wilson(successes: int, trials: int) -> Figure:
    """Return a proportion with its Wilson score interval, without correction for continuity.

    Equals ``scipy.stats.binomtest(successes, trials).proportion_ci(0.95, "wilson")`` (E. B. Wilson, 1927).
    """
    if not trials:
        return Figure(np.nan, np.nan, np.nan)
    z = statistics.NormalDist().inv_cdf((1 + LEVEL) / 2)
    share, scale = successes / trials, 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    half = z / scale * (share * (1 - share) / trials + z * z / (4 * trials * trials)) ** 0.5
    # At the ends the formula gives 0 and 1 but for rounding.
    low, high = 0.0 if successes == 0 else centre - half, 1.0 if successes == trials else centre + half
    return Figure(share, low, high)


def bootstrap(
    statistic: Callable[[NDArray[np.int64]], NDArray[np.float64]], images: int, seed: int, resamples: int = RESAMPLES
) -> NDArray[np.float64]:
    """Return the ends of percentile intervals of several figures, from the same resampled images.

    Equals ``scipy.stats.bootstrap`` with ``method="percentile"`` and a generator of the same seed (B. Efron, 1979).

    Args:
        statistic: the figures ``[figures]`` of the images with these numbers, int64 ``[images]``.
        images: how many there are, and are drawn with replacement each time.
        seed: of the draws.
        resamples: how often.

    Returns:
        ``[2, figures]``.
    """
    random = np.random.default_rng(seed)
    found = np.stack([statistic(random.integers(0, images, images)) for _ in range(resamples)])
    return np.percentile(found, [50 * (1 - LEVEL), 50 * (1 + LEVEL)], axis=0)
