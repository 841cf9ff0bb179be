import numpy as np
import pytest
from predicted import literal

from jaxnext.errors import JaxnextError
from jaxnext.reporting.predictions import Predictions


def test_what_follows_from_the_probabilities() -> None:
    found = literal([0, 1, 1], [[0.5, 0.5, 0.0], [0.1, 0.2, 0.7], [0.25, 0.5, 0.25]])
    assert len(found) == 3
    assert found.predicted.tolist() == [0, 2, 1]
    assert found.correct.tolist() == [True, False, True]
    assert found.confidence.tolist() == [0.5, 0.7, 0.5]
    assert found.of_truth.tolist() == [0.5, 0.2, 0.5]
    assert found.confusion.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0]]


def test_rows_of_float32_sum_to_one_in_float64() -> None:
    rows = np.random.default_rng(0).dirichlet(np.ones(50), 20).astype(np.float32)
    found = Predictions.of(["x"] * 20, np.zeros(20, np.int32), rows, [str(i) for i in range(50)])
    assert np.abs(rows.astype(np.float64).sum(1) - 1).max() > 1e-9
    np.testing.assert_allclose(found.probabilities.sum(1), 1, rtol=0, atol=1e-15)
    np.testing.assert_allclose(found.probabilities, rows, rtol=1e-6)


def test_nothing_to_measure_on() -> None:
    with pytest.raises(JaxnextError, match=r"^expected images to measure on, found none that can be read$"):
        Predictions.of([], np.zeros(0, np.int64), np.zeros((0, 2)), ["0", "1"])
    with pytest.raises(JaxnextError, match=r"^b: expected finite probabilities, found \[nan, 1.0\]$"):
        literal([0, 1], [[1.0, 0.0], [np.nan, 1.0]])
