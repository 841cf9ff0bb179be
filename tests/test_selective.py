import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxnext.reporting.selective import at_coverages, for_accuracy, selections

CONFIDENCE = np.array([0.9, 0.5, 0.7, 0.7, 0.6])
CORRECT = np.array([True, False, True, False, True])


def test_selections_literally() -> None:
    found = selections(CONFIDENCE, CORRECT, classes=4)
    assert [(round(s.threshold, 12), s.answered, s.of) for s in found] == [
        (0.375, 5, 5),  # between 0.5 and a quarter, below which nothing is predicted of four classes
        (0.55, 4, 5),
        (0.65, 3, 5),  # images of equal probability are answered together
        (0.8, 1, 5),
    ]
    assert [s.accuracy.value for s in found] == [3 / 5, 3 / 4, 2 / 3, 1]
    assert [s.coverage for s in found] == [1, 0.8, 0.6, 0.2]
    assert found[0].accuracy.low == pytest.approx(
        0.2307, abs=1e-4
    )  # statsmodels' proportion_confint(3, 5, 0.05, "wilson")


def test_most_images_that_reach_an_accuracy() -> None:
    found = selections(CONFIDENCE, CORRECT, classes=4)
    chosen = [for_accuracy(found, wanted) for wanted in (0.6, 0.7, 0.76, 1.0)]
    assert [None if s is None else s.answered for s in chosen] == [5, 4, 1, 1]
    assert for_accuracy(selections(CONFIDENCE, ~CORRECT, classes=4), 0.9) is None


def test_rows_have_at_least_their_coverage() -> None:
    found = selections(CONFIDENCE, CORRECT, classes=4)
    assert [s.answered for s in at_coverages(found, (1.0, 0.8, 0.7, 0.1))] == [5, 4, 4, 1]


@given(st.lists(st.tuples(st.integers(1, 10), st.booleans()), min_size=1, max_size=30))
def test_a_threshold_answers_the_images_it_says(images: list[tuple[int, bool]]) -> None:
    confidence = np.array([tenths / 10 for tenths, _ in images])
    correct = np.array([right for _, right in images])
    for selection in selections(confidence, correct, classes=10):
        answered = confidence >= selection.threshold
        assert answered.sum() == selection.answered
        assert correct[answered].mean() == selection.accuracy.value
