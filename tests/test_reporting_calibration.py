import numpy as np
import pytest
from predicted import literal, predictions
from sklearn.calibration import calibration_curve

from jaxnext.reporting import calibration
from jaxnext.reporting.calibration import cross_scaled, reliability, scaled, temperature
from jaxnext.reporting.figures import losses
from jaxnext.reporting.predictions import Predictions


def test_bins_are_scikit_learns() -> None:
    found = predictions()
    bins = reliability(found.confidence, found.correct)
    accuracy, confidence = calibration_curve(found.correct, found.confidence, n_bins=15)
    full = bins.images > 0
    np.testing.assert_allclose(bins.accuracy[full], accuracy, rtol=1e-12)
    np.testing.assert_allclose(bins.confidence[full], confidence, rtol=1e-12)
    assert np.isnan(bins.accuracy[~full]).all()


def test_error_literally() -> None:
    # A bin of two, of which one is right, and one of an image that is sure and right.
    bins = reliability(np.array([0.72, 0.73, 1.0]), np.array([True, False, True]))
    assert bins.images.tolist() == [0] * 10 + [2] + [0] * 3 + [1]
    assert bins.error == pytest.approx(2 / 3 * 0.225)


def test_an_edge_belongs_to_the_bin_below() -> None:
    assert calibration.bin_of(np.array([0.2, np.nextafter(0.2, 1), 1.0])).tolist() == [2, 3, 14]


def test_temperature_has_the_least_log_loss() -> None:
    found = predictions()
    sharp = scaled(found.probabilities, 0.25)
    by = temperature(sharp, found.truth)
    assert by == pytest.approx(4 * temperature(found.probabilities, found.truth), rel=1e-6)

    def loss(at: float) -> float:
        return losses(Predictions.of(found.paths, found.truth, scaled(sharp, at), found.classes)).mean()

    assert loss(by) < min(loss(by * 0.99), loss(by * 1.01))


def test_temperature_ends_where_every_image_is_right() -> None:
    found = literal([0, 1], [[0.6, 0.4], [0.4, 0.6]])
    assert temperature(found.probabilities, found.truth) == pytest.approx(0.01)
    certain = literal([0, 1], [[1.0, 0.0], [1.0, 0.0]])
    assert temperature(certain.probabilities, certain.truth) == pytest.approx(100)


def test_each_part_has_its_share_of_the_mistakes() -> None:
    # Ten images as sure as each other, of which two are wrong: the temperature of each part is that of one in eight.
    found = literal([0, 1, *[0] * 8], [[0.8, 0.2]] * 2 + [[0.8, 0.2]] * 8)
    found.truth[2] = 1
    rows = cross_scaled(found, 3)[:, 0]
    seven_of_eight = 7 / 8
    assert sorted(set(np.round(rows, 6))) == pytest.approx([6 / 8, seven_of_eight], abs=1e-6)
    assert rows[[1, 2]] == pytest.approx([seven_of_eight] * 2, abs=1e-6)


def test_an_image_is_not_scaled_by_its_own_label() -> None:
    found = predictions()
    base = cross_scaled(found, 1)
    other = Predictions(found.paths, found.truth.copy(), found.probabilities, found.classes)
    image = int(np.flatnonzero(~found.correct)[17])
    wrong = set(range(6)) - {int(found.truth[image]), int(found.predicted[image])}
    other.truth[image] = min(wrong)
    changed = np.abs(cross_scaled(other, 1) - base).max(1) > 1e-9
    assert not changed[image]
    assert changed.sum() == 160
    bins = [reliability(rows.max(1), found.correct).error for rows in (scaled(found.probabilities, 0.25), base)]
    assert bins[1] < bins[0]
