"""Made-up runs to compare."""

import dataclasses

import numpy as np
from predicted import predictions
from reported import facts

from jaxnext.config.overrides import override
from jaxnext.reporting.compared import ComparedRun
from jaxnext.reporting.predictions import Predictions


def compared(name: str, certainty: float = 2.0, draw: int = 0, head: str = "linear", **settings: object) -> ComparedRun:
    """A run on sixty images: the larger ``certainty``, the more right; ``draw`` changes what is said of them."""
    labels = predictions(60)
    random = np.random.default_rng(draw)
    logits = random.normal(0, 1, labels.probabilities.shape) + certainty * np.eye(7)[labels.truth]
    rows = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = Predictions.of(labels.paths, labels.truth, rows, labels.classes)
    made = facts()
    config = override(made.config, {"model.head": head, **settings})
    return ComparedRun(name, dataclasses.replace(made, config=config), 1500, list(labels.paths), found, 2)
