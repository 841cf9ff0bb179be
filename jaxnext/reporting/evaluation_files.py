"""An evaluation to hand in: figures, tables and a picture, as files in a folder."""

import json
import math
from pathlib import Path
from typing import Any

from jaxnext.atomic import whole_file
from jaxnext.reporting.confusion import confusion_picture, png_of
from jaxnext.reporting.csv_table import write_table
from jaxnext.reporting.figures import PROPORTIONS, Figures, figures
from jaxnext.reporting.intervals import LEVEL, RESAMPLES
from jaxnext.reporting.predictions import Predictions

FILES = ("predictions.csv", "per_class.csv", "confusion.csv", "confusion.png", "metrics.json")


def write_evaluation(predictions: Predictions, folder: Path, seed: int = 0) -> None:
    """Write ``FILES``, each whole or not at all; what is there under their names is replaced.

    predictions.csv   path, label, prediction, and the probability of each class, of each image
    per_class.csv     support, precision, recall and F1 of each class, with their intervals
    confusion.csv     images by label (rows) and prediction (columns); confusion.png is a picture of it
    metrics.json      figures over all images, with their intervals

    Args:
        predictions: that are measured.
        folder: made where there is none.
        seed: of the bootstrap.

    Raises:
        JaxnextError: a file cannot be written.
    """
    found, classes = figures(predictions, seed), predictions.classes
    write_predictions(predictions, folder / FILES[0])
    names = ("precision", "recall", "f1")
    ends = [column for name in names for column in (name, f"{name}_low", f"{name}_high")]
    write_table(
        folder / FILES[1],
        ["class", "support", "predicted", *ends],
        (
            [name, each.support, each.predicted, *each.precision, *each.recall, *each.f1]
            for name, each in zip(classes, found.classes, strict=True)
        ),
    )
    matrix = predictions.confusion.tolist()
    write_table(
        folder / FILES[2], ["truth", *classes], ([name, *row] for name, row in zip(classes, matrix, strict=True))
    )
    picture = png_of(confusion_picture(predictions.confusion, classes))
    with whole_file(folder / FILES[3], "wb") as file:
        file.write(picture)
    with whole_file(folder / FILES[4]) as file:
        file.write(json.dumps(metrics(predictions, found, seed), indent=2, allow_nan=False) + "\n")


def write_predictions(predictions: Predictions, file: Path) -> None:
    """Write ``predictions.csv``; errors as ``write_evaluation``."""
    classes, predicted = predictions.classes, predictions.predicted.tolist()
    labels, rows = predictions.truth.tolist(), predictions.probabilities.tolist()
    write_table(
        file,
        ["path", "truth", "prediction", *(f"prob_{name}" for name in classes)],
        (
            [path, classes[label], classes[guess], *row]
            for path, label, guess, row in zip(predictions.paths, labels, predicted, rows, strict=True)
        ),
    )


def metrics(predictions: Predictions, found: Figures, seed: int) -> dict[str, Any]:
    """Return what ``metrics.json`` holds: the figures under their names, and how their intervals were made."""
    return {
        "images": len(predictions),
        "classes": len(predictions.classes),
        "confidence_level": LEVEL,
        "bootstrap": {"resamples": RESAMPLES, "seed": seed},
        "metrics": {
            name: {
                "value": _number(figure.value),
                "low": _number(figure.low),
                "high": _number(figure.high),
                "interval": "wilson" if name in PROPORTIONS else "bootstrap",
            }
            for name, figure in found.overall.items()
        },
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
