import numpy as np
import pytest

from jaxnext.engine.padding import pad_rows


def test_zero_rows_are_appended() -> None:
    padded = pad_rows(np.array([[1, 2], [3, 4]], np.uint8), 4)
    assert padded.tolist() == [[1, 2], [3, 4], [0, 0], [0, 0]]
    assert padded.dtype == np.uint8


def test_every_number_of_axes() -> None:
    assert pad_rows(np.array([True]), 3).tolist() == [True, False, False]
    assert pad_rows(np.ones((2, 3, 3, 3), np.uint8), 5).shape == (5, 3, 3, 3)
    assert pad_rows(np.ones((0, 2)), 2).tolist() == [[0, 0], [0, 0]]


def test_enough_rows_stay() -> None:
    assert pad_rows(np.array([1.5, 2.5]), 2).tolist() == [1.5, 2.5]


def test_rows_are_never_cut() -> None:
    with pytest.raises(ValueError, match="negative"):
        pad_rows(np.zeros(3), 2)
