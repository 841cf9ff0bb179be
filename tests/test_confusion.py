import io

import numpy as np
import pytest
from PIL import Image

from jaxnext.reporting.confusion import clustered_order, confused_pairs, confusion_picture, png_of

MATRIX = np.array([[8, 0, 2, 0], [0, 5, 0, 5], [4, 0, 6, 0], [0, 2, 0, 0]])


def test_classes_that_are_taken_for_each_other_stand_together() -> None:
    order = clustered_order(MATRIX)
    assert sorted(order) == [0, 1, 2, 3]
    assert {frozenset(order[:2]), frozenset(order[2:])} == {frozenset({0, 2}), frozenset({1, 3})}
    assert clustered_order(MATRIX[:2, :2]) == [0, 1]


def test_pairs_literally() -> None:
    assert confused_pairs(MATRIX, 3) == [(1, 3, 5, 0.5), (2, 0, 4, 0.4), (3, 1, 2, 1.0)]
    assert confused_pairs(np.eye(3, dtype=np.int64), 3) == []


@pytest.mark.parametrize("count", [4, 40])
def test_the_picture(count: int) -> None:
    matrix = np.diag(np.arange(count))
    names = ("$\\frac$", "<b>", "漢字", "x" * 99, *map(str, range(count - 4)))
    figure = confusion_picture(matrix, names)
    shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert shown[:4] == ["$\\frac$", "<b>", "漢字", "x" * 23 + "…"]
    assert len(figure.axes[0].texts) == (3 if count == 4 else 0)
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), np.diag([0, *[1] * (count - 1)]))
    with Image.open(io.BytesIO(png_of(figure, dpi=40))) as image:
        assert image.format == "PNG"
