"""How good a classifier is: scikit-learn's figures of its predictions, each with an interval."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxnext.metrics import TOP
from jaxnext.reporting.calibration import bin_of, reliability
from jaxnext.reporting.intervals import RESAMPLES, Figure, bootstrap, wilson
from jaxnext.reporting.predictions import Predictions

TITLES = {
    "top1_accuracy": "top-1 accuracy",
    "top5_accuracy": f"top-{TOP} accuracy",
    "macro_precision": "macro precision",
    "macro_recall": "macro recall",
    "macro_f1": "macro F1",
    "weighted_precision": "weighted precision",
    "weighted_recall": "weighted recall",
    "weighted_f1": "weighted F1",
    "balanced_accuracy": "balanced accuracy",
    "mcc": "Matthews correlation",
    "log_loss": "log loss",
    "ece": "calibration error",
}
"""What each figure is called where people read it."""
PROPORTIONS = ("top1_accuracy", "top5_accuracy")
"""Figures with a Wilson interval; the others have a bootstrapped one."""


class ClassFigures(NamedTuple):
    """Of one class."""

    support: int
    """images of the class"""
    predicted: int
    """images that were predicted as it"""
    precision: Figure
    recall: Figure
    f1: Figure


class Figures(NamedTuple):
    """Of all images, under the names of ``TITLES``, and of each class."""

    overall: dict[str, Figure]
    classes: tuple[ClassFigures, ...]


def figures(predictions: Predictions, seed: int = 0, resamples: int = RESAMPLES) -> Figures:
    """Compute all figures.

    Macro and weighted means are over the classes that are some image's label or prediction, balanced accuracy is over
    those that are some image's label, and precision, recall and F1 without anything to divide by are 0: scikit-learn's
    definitions, with ``zero_division=0``. Top-5 accuracy, of more than five classes, counts an image of which fewer
    than five classes are likelier than its label.

    Args:
        predictions: of the images.
        seed: of the bootstrap.
        resamples: of the bootstrap; intervals of proportions are Wilson's.
    """
    values = _values(predictions)
    ends = bootstrap(_Resampled(predictions), len(predictions), seed, resamples)
    names = list(TITLES)[2:]
    overall = {"top1_accuracy": wilson(int(predictions.correct.sum()), len(predictions))}
    if len(predictions.classes) > TOP:
        rank = (predictions.probabilities > predictions.of_truth[:, None]).sum(1)
        overall["top5_accuracy"] = wilson(int((rank < TOP).sum()), len(predictions))
    overall |= {name: Figure(values[name], *map(float, ends[:, i])) for i, name in enumerate(names)}
    return Figures(overall, _classes(predictions, ends[:, len(names) :]))


def losses(predictions: Predictions) -> NDArray[np.float64]:
    """Return the cross-entropy of each image, ``[n]``, its probability clipped as scikit-learn's ``log_loss`` does."""
    eps = np.finfo(np.float64).eps
    return -np.log(np.clip(predictions.of_truth, eps, 1 - eps))


def _values(predictions: Predictions) -> dict[str, float]:
    # Imported here, for it takes a second.
    from sklearn import metrics

    measure: Any = metrics
    truth, predicted = predictions.truth, predictions.predicted
    values: dict[str, float] = {}
    for average in ("macro", "weighted"):
        found = measure.precision_recall_fscore_support(truth, predicted, average=average, zero_division=0)
        values |= {f"{average}_{name}": float(x) for name, x in zip(("precision", "recall", "f1"), found, strict=False)}
    values["balanced_accuracy"] = float(
        measure.recall_score(truth, predicted, labels=np.unique(truth), average="macro", zero_division=0)
    )
    # scikit-learn's own warns where one class is all there is.
    support, guessed = predictions.confusion.sum(1), predictions.confusion.sum(0)
    values["mcc"] = _mcc(int(predictions.correct.sum()), support, guessed, len(truth))
    values["log_loss"] = float(losses(predictions).mean())
    values["ece"] = reliability(predictions.confidence, predictions.correct).error
    return values


def _classes(predictions: Predictions, f1_ends: NDArray[np.float64]) -> tuple[ClassFigures, ...]:
    matrix = predictions.confusion
    right, support, predicted = np.diag(matrix).tolist(), matrix.sum(1).tolist(), matrix.sum(0).tolist()
    return tuple(
        ClassFigures(
            support[i],
            predicted[i],
            wilson(right[i], predicted[i]),
            wilson(right[i], support[i]),
            Figure(_ratio(2 * right[i], support[i] + predicted[i]), *map(float, f1_ends[:, i])),
        )
        for i in range(len(right))
    )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


class _Resampled:
    """The bootstrapped figures of some of the images: those of ``TITLES`` after the proportions, F1 of each class.

    They are computed from counts, for scikit-learn's functions would take a minute to be called a thousand times.
    """

    def __init__(self, predictions: Predictions) -> None:
        self.count = len(predictions.classes)
        self.truth, self.predicted = predictions.truth, predictions.predicted
        # Wrong images go into a class that is cut off.
        self.right = np.where(predictions.correct, self.truth, self.count)
        self.losses, self.bins = losses(predictions), bin_of(predictions.confidence)
        self.gap = predictions.correct - predictions.confidence

    def __call__(self, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        size, count = len(chosen), self.count
        right = np.bincount(self.right[chosen], minlength=count + 1)[:count]
        support = np.bincount(self.truth[chosen], minlength=count)
        predicted = np.bincount(self.predicted[chosen], minlength=count)
        precision, recall = right / np.maximum(predicted, 1), right / np.maximum(support, 1)
        f1 = 2 * right / np.maximum(support + predicted, 1)
        shown, there = (support + predicted) > 0, support > 0
        each = np.stack([precision, recall, f1])
        gaps = np.bincount(self.bins[chosen], weights=self.gap[chosen])
        found = [
            *each[:, shown].mean(1),
            *(each @ support / size),
            recall[there].mean(),
            _mcc(int(right.sum()), support, predicted, size),
            self.losses[chosen].mean(),
            np.abs(gaps).sum() / size,
        ]
        return np.array([*found, *f1])


def _mcc(right: int, support: NDArray[np.int64], predicted: NDArray[np.int64], size: int) -> float:
    """Matthews correlation of several classes (J. Gorodkin, 2004); 0 where one class is all there is."""
    spread = (size * size - int(support @ support)) * (size * size - int(predicted @ predicted))
    return (right * size - int(support @ predicted)) / spread**0.5 if spread else 0.0
