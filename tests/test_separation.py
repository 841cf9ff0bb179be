import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from jaxnext.reporting.separation import separation


def test_literally() -> None:
    # 20 known images, 95 % of which are 19: all but the lowest.
    known = np.array([0.0, *range(1, 20)])
    found = separation(known, np.array([-1.0, 0.5, 1.0, 30.0]))
    assert found.threshold == 1
    assert found.false_share == 0.5
    # Below the four: 20 - 0, 20 - 1, 20 - 1.5 and none of the known are higher.
    assert found.auroc == (20 + 19 + 18.5) / 80


def test_auroc_is_scikit_learns() -> None:
    random = np.random.default_rng(0)
    known, others = random.integers(0, 9, 50), random.integers(-3, 6, 40)
    expected = roc_auc_score([1] * 50 + [0] * 40, [*known, *others])
    assert separation(known, others).auroc == pytest.approx(expected, rel=1e-12)
