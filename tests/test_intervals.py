import math

import numpy as np
import pytest

from jaxnext.reporting.intervals import bootstrap, wilson

# scipy.stats.binomtest(successes, trials).proportion_ci(0.95, "wilson") of scipy 1.17.1
RECORDED = [
    (271, 300, 0.8646182980304888, 0.9318497051817107),
    (0, 7, 0.0, 0.35433043506668743),
    (7, 7, 0.6456695649333126, 1.0),
    (1, 2, 0.09453120573423074, 0.9054687942657693),
    (18712, 20000, 0.9321137505532022, 0.9389189476347195),
]


@pytest.mark.parametrize(("successes", "trials", "low", "high"), RECORDED)
def test_wilson_is_scipys(successes: int, trials: int, low: float, high: float) -> None:
    found = wilson(successes, trials)
    assert found.value == successes / trials
    assert found.low == pytest.approx(low, rel=1e-12, abs=1e-15)
    assert found.high == pytest.approx(high, rel=1e-12)


def test_wilson_of_nothing() -> None:
    assert all(math.isnan(value) for value in wilson(0, 0))


def test_bootstrap_is_scipys() -> None:
    values = np.random.default_rng(3).gamma(2, size=31)

    def statistic(chosen: np.ndarray) -> np.ndarray:
        return np.array([values[chosen].mean(), values[chosen].max()])

    low, high = bootstrap(statistic, 31, seed=5, resamples=500)
    # scipy.stats.bootstrap((values,), np.mean, method="percentile", n_resamples=500, rng=np.random.default_rng(5)) and
    # the same of np.max, of scipy 1.17.1
    assert low.tolist() == pytest.approx([1.4777639937726, 3.2340997014033785], rel=1e-12)
    assert high.tolist() == pytest.approx([2.445796528240204, 5.933819542543967], rel=1e-12)
