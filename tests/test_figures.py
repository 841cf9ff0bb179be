import numpy as np
import pytest
from predicted import literal, predictions
from sklearn import metrics as measure

from jaxnext.reporting.figures import TITLES, _Resampled, figures, losses


def test_every_figure_is_scikit_learns() -> None:
    found = predictions()
    truth, predicted, rows = found.truth, found.predicted, found.probabilities
    assert set(predicted) - set(truth) == {6}
    expected = {"top1_accuracy": measure.accuracy_score(truth, predicted)}
    expected["top5_accuracy"] = measure.top_k_accuracy_score(truth, rows, k=5, labels=range(7))
    for average in ("macro", "weighted"):
        expected[f"{average}_precision"] = measure.precision_score(truth, predicted, average=average, zero_division=0)
        expected[f"{average}_recall"] = measure.recall_score(truth, predicted, average=average, zero_division=0)
        expected[f"{average}_f1"] = measure.f1_score(truth, predicted, average=average, zero_division=0)
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        expected["balanced_accuracy"] = measure.balanced_accuracy_score(truth, predicted)
    expected["mcc"] = measure.matthews_corrcoef(truth, predicted)
    expected["log_loss"] = measure.log_loss(truth, rows, labels=range(7))
    overall = figures(found, resamples=50).overall
    assert list(overall) == list(TITLES)
    assert {name: overall[name].value for name in expected} == pytest.approx(expected, rel=1e-12)
    for name, figure in overall.items():
        assert 0 < figure.low < figure.high, name
        # The bootstrap's calibration error is larger than that of the images: noise adds to it.
        assert name == "ece" or figure.low <= figure.value <= figure.high, name


def test_the_resampled_figures_are_the_same_ones() -> None:
    found = predictions()
    resampled, result = _Resampled(found)(np.arange(len(found))), figures(found, resamples=2)
    of_all = [figure.value for figure in result.overall.values()][2:]
    assert resampled.tolist() == pytest.approx([*of_all, *(each.f1.value for each in result.classes)], rel=1e-12)
    chosen = np.random.default_rng(4).integers(0, 200, 200)
    truth, predicted = found.truth[chosen], found.predicted[chosen]
    expected = measure.precision_recall_fscore_support(truth, predicted, average="macro", zero_division=0)[:3]
    assert _Resampled(found)(chosen)[:3].tolist() == pytest.approx(expected, rel=1e-12)
    assert _Resampled(found)(chosen)[7] == pytest.approx(measure.matthews_corrcoef(truth, predicted), rel=1e-12)


def test_classes_are_scikit_learns() -> None:
    found = predictions()
    expected = measure.precision_recall_fscore_support(
        found.truth, found.predicted, labels=range(7), average=None, zero_division=0
    )
    result = figures(found, resamples=50).classes
    assert [each.support for each in result] == expected[3].tolist()
    assert [each.precision.value for each in result] == pytest.approx(expected[0].tolist())
    assert [each.recall.value for each in result[:6]] == pytest.approx(expected[1].tolist()[:6])
    assert np.isnan(result[6].recall).all()
    assert [each.f1.value for each in result] == pytest.approx(expected[2].tolist())
    assert result[6].predicted == int((found.predicted == 6).sum()) > 0


def test_a_seed_gives_the_same_intervals() -> None:
    found = predictions(60)
    again, other = (figures(found, seed, resamples=20).overall["macro_f1"] for seed in (0, 1))
    assert figures(found, 0, resamples=20).overall["macro_f1"] == again
    assert other.value == again.value
    assert other != again


def test_one_class_and_one_image() -> None:
    found = figures(literal([0], [[1.0]]), resamples=3)
    assert found.overall["mcc"] == (0, 0, 0)
    assert found.overall["top1_accuracy"].value == 1
    assert "top5_accuracy" not in found.overall


def test_a_probability_of_zero_is_clipped_as_scikit_learn_does() -> None:
    found = literal([1, 0], [[1.0, 0.0], [1.0, 0.0]])
    assert losses(found).tolist() == pytest.approx([36.04365338911715, 2.220446049250313e-16])
    assert losses(found).mean() == pytest.approx(measure.log_loss(found.truth, found.probabilities))
