import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from predicted import literal, predictions
from sklearn import metrics as measure

from jaxnext.reporting.evaluation_files import FILES, write_evaluation
from jaxnext.reporting.figures import figures
from jaxnext.reporting.predictions import Predictions


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluation") / "new"
    write_evaluation(predictions(), folder)
    return folder


def test_the_files_alone(written: Path) -> None:
    assert sorted(path.name for path in written.iterdir()) == sorted(FILES)


def test_figures_are_scikit_learns_of_the_predictions_file(written: Path) -> None:
    header, *rows = rows_of(written / "predictions.csv")
    assert header == ["path", "truth", "prediction", *(f"prob_class {i}" for i in range(7))]
    assert (len(rows), rows[3][0]) == (200, "val/3.jpg")
    truth, predicted = [row[1] for row in rows], [row[2] for row in rows]
    probabilities = np.array([row[3:] for row in rows], np.float64)
    saved = json.loads((written / "metrics.json").read_text())
    found = {name: each["value"] for name, each in saved["metrics"].items()}
    names = [f"class {i}" for i in range(7)]
    assert found["top1_accuracy"] == measure.accuracy_score(truth, predicted)
    assert found["top5_accuracy"] == measure.top_k_accuracy_score(truth, probabilities, k=5, labels=names)
    assert found["macro_f1"] == pytest.approx(measure.f1_score(truth, predicted, average="macro", zero_division=0))
    assert found["mcc"] == pytest.approx(measure.matthews_corrcoef(truth, predicted))
    assert found["log_loss"] == pytest.approx(measure.log_loss(truth, probabilities, labels=names), rel=1e-8)
    matrix = rows_of(written / "confusion.csv")
    assert matrix[0] == ["truth", *names]
    assert [row[0] for row in matrix[1:]] == names
    expected = measure.confusion_matrix(truth, predicted, labels=names)
    np.testing.assert_array_equal(np.array([row[1:] for row in matrix[1:]], int), expected)


def test_metrics_literally(written: Path) -> None:
    saved, overall = json.loads((written / "metrics.json").read_text()), figures(predictions()).overall
    assert {name: value for name, value in saved.items() if name != "metrics"} == {
        "images": 200,
        "classes": 7,
        "confidence_level": 0.95,
        "bootstrap": {"resamples": 1000, "seed": 0},
    }
    assert {name: tuple(each.values())[:3] for name, each in saved["metrics"].items()} == overall
    kinds = [each["interval"] for each in saved["metrics"].values()]
    assert kinds == ["wilson"] * 2 + ["bootstrap"] * 10


def test_classes(written: Path) -> None:
    header, *rows = rows_of(written / "per_class.csv")
    assert header[:6] == ["class", "support", "predicted", "precision", "precision_low", "precision_high"]
    assert len(header) == 3 + 9
    # The last class has no images, and so no recall.
    assert (rows[6][0], rows[6][1], rows[6][6:9]) == ("class 6", "0", ["", "", ""])
    assert float(rows[0][3]) == pytest.approx(figures(predictions(), resamples=2).classes[0].precision.value)


def test_formulas_are_text_and_files_are_replaced(tmp_path: Path) -> None:
    found = dataclasses.replace(literal([0, 1], [[0.9, 0.1], [0.8, 0.2]]), paths=["=cmd|x", "b"], classes=("=1", "<b>"))
    assert isinstance(found, Predictions)
    (tmp_path / "metrics.json").write_text("old")
    write_evaluation(found, tmp_path)
    assert rows_of(tmp_path / "predictions.csv") == [
        ["path", "truth", "prediction", "prob_=1", "prob_<b>"],
        ["'=cmd|x", "'=1", "'=1", "0.9", "0.1"],
        ["b", "<b>", "'=1", "0.8", "0.2"],
    ]
    assert rows_of(tmp_path / "confusion.csv") == [["truth", "'=1", "<b>"], ["'=1", "1", "0"], ["<b>", "1", "0"]]
    assert json.loads((tmp_path / "metrics.json").read_text())["images"] == 2
