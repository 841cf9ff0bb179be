import re
from typing import Any

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from jaxnext.data.class_weights import class_weights
from jaxnext.errors import UsageError

CLASSES = ("cat", "dog", "owl")


def found(given: Any, labels: tuple[int, ...] = (0, 0, 0, 1, 2, 2), outputs: int = 3) -> tuple[float, ...] | None:
    return class_weights(given, CLASSES, outputs, np.array(labels, np.int32))


def test_none() -> None:
    assert found("none") is None


def test_balanced() -> None:
    assert found("balanced") == (6 / (3 * 3), 6 / (3 * 1), 6 / (3 * 2))


def test_balanced_is_that_of_scikit_learn() -> None:
    labels = np.random.default_rng(0).integers(0, 5, 97)
    expected = compute_class_weight("balanced", classes=np.arange(5), y=labels)
    np.testing.assert_allclose(class_weights("balanced", "abcde", 5, labels.astype(np.int32)), expected, rtol=1e-15)


def test_outputs_without_an_image_weigh_1_and_do_not_count_as_classes() -> None:
    assert found("balanced", (0, 0, 0, 2), outputs=5) == (4 / (2 * 3), 1.0, 4 / 2, 1.0, 1.0)
    assert found((2.0, 3.0, 4.0), outputs=4) == (2.0, 3.0, 4.0, 1.0)


def test_numbers_by_name_stand_in_the_order_of_the_outputs() -> None:
    assert found({"owl": 3.0, "cat": 1.5, "dog": 2.0}) == (1.5, 2.0, 3.0)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ((1.0, 2.0), "expected 3 numbers, one for each class, found 2"),
        ({"cat": 1.0, "dogs": 1.0}, "expected names of classes, found 'dogs'; did you mean 'dog'?"),
        ({"cat": 1.0, "dog": 1.0}, "expected a number for each class, found none for 'owl'"),
    ],
)
def test_refused(given: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape('loss.class_weights: ' + sentence)}$"):
        found(given)
