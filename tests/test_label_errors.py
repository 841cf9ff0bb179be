import numpy as np
import pytest
from predicted import literal, predictions

from jaxnext.reporting.label_errors import likely_label_errors
from jaxnext.reporting.predictions import Predictions


def test_literally() -> None:
    # Means of the labels' own probabilities: class 0 (0.9 + 0.1 + 0.35) / 3 = 0.45, class 1 (0.8 + 0.3) / 2 = 0.55.
    found = literal(
        [0, 0, 1, 1, 0],
        [
            [0.9, 0.1, 0.0],
            [0.1, 0.6, 0.3],  # confidently of class 1
            [0.2, 0.8, 0.0],
            [0.5, 0.3, 0.2],  # confidently of class 0
            [0.35, 0.5, 0.15],  # of class 1 most likely, but not confidently
        ],
    )
    listed = likely_label_errors(found)
    assert [(error.number, error.suggested) for error in listed] == [(1, 1), (3, 0)]
    assert [error.self_confidence for error in listed] == pytest.approx([0.1, 0.3])
    assert [error.normalized_margin for error in listed] == pytest.approx([0.25, 0.4])


def test_the_least_confident_are_listed_as_many_as_are_confidently_of_another_class() -> None:
    # Means of the labels' own probabilities: class 0 (0.9 + 0.1 + 0.05) / 3 = 0.35, class 1 (0.8 + 0.3) / 2 = 0.55.
    found = literal(
        [0, 0, 1, 1, 0],
        [
            [0.9, 0.1, 0.0],
            [0.1, 0.6, 0.3],  # confidently of class 1
            [0.2, 0.8, 0.0],
            [0.5, 0.3, 0.2],  # confidently of class 0
            [0.05, 0.5, 0.45],  # of none
        ],
    )
    assert [(error.number, error.suggested) for error in likely_label_errors(found)] == [(4, 1), (1, 1)]


def test_an_image_is_of_no_class_without_images() -> None:
    assert likely_label_errors(literal([0, 0], [[0.2, 0.8], [0.9, 0.1]])) == []


def test_planted_errors_come_first() -> None:
    found = predictions(400, certainty=4)
    truth, planted = found.truth.copy(), np.arange(0, 400, 20)
    truth[planted] = (truth[planted] + 2) % 6
    listed = likely_label_errors(Predictions(found.paths, truth, found.probabilities, found.classes))
    first = [error.number for error in listed[:20]]
    assert len(set(first) & set(planted.tolist())) >= 15
