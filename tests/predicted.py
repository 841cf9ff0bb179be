"""Predictions of a made-up classifier, and what scikit-learn reads of the files that were written of them."""

import numpy as np

from jaxnext.reporting.predictions import Predictions


def predictions(images: int = 200, classes: int = 7, seed: int = 0, certainty: float = 2.0) -> Predictions:
    """Labels of all classes but the last, which is predicted now and then; the larger ``certainty``, the more right."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes - 1, images)
    logits = random.normal(0, 1, (images, classes)) + certainty * np.eye(classes)[truth]
    powers = np.exp(logits)
    rows = (powers / powers.sum(1, keepdims=True)).astype(np.float32)
    names = [f"class {i}" for i in range(classes)]
    return Predictions.of([f"val/{i}.jpg" for i in range(images)], truth, rows, names)


def literal(truth: list[int], rows: list[list[float]]) -> Predictions:
    """Predictions of a few images, named a, b, c and so on, of classes 0, 1, 2 and so on."""
    names = [chr(ord("a") + i) for i in range(len(truth))]
    return Predictions.of(names, np.array(truth), np.array(rows), [str(i) for i in range(len(rows[0]))])
