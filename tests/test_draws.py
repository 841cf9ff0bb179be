import math
import re

import numpy as np
import pytest

from jaxnext.augment.operations.draws import check_probability, check_range, check_size, uniform
from jaxnext.errors import JaxnextError


def test_numbers_are_the_recorded_ones() -> None:
    """A run that is resumed with another version of NumPy has to go on with the same augmentation."""
    found = uniform(3, 5, 2, 3)
    expected = [
        [0.08910064623458391, 0.33189185276481004, 0.16520897668188295],
        [0.37185566243647006, 0.39459135265702105, 0.951402916976759],
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-15)


def test_rows_do_not_depend_on_their_number_and_differ_by_seed_and_step() -> None:
    rows = uniform(1, 2, 5, 4)
    np.testing.assert_array_equal(uniform(1, 2, 9, 4)[:5], rows)
    assert len(np.unique(rows)) == 20
    assert not np.isin(uniform(1, 3, 5, 4), rows).any()
    assert not np.isin(uniform(2**32 + 1, 2, 5, 4), rows).any()


def test_numbers_are_uniform() -> None:
    counts = np.histogram(uniform(0, 0, 2000, 10), 10, (0, 1))[0]
    np.testing.assert_allclose(counts, 2000, rtol=0.1)


def test_sizes() -> None:
    check_size((4096, 4096))
    check_size((1024, 16384))
    for size in ((4097, 4096), (1, 16385)):
        with pytest.raises(JaxnextError, match=r"^data\.image_size: expected at most 4096 pixels"):
            check_size(size)


@pytest.mark.parametrize(
    ("value", "least", "most", "expected"),
    [
        ((0.5,), 0.0, 1.0, "two numbers in order, above 0 and at most 1, found [0.5]"),
        ((0.6, 0.5), 0.0, 1.0, "two numbers in order, above 0 and at most 1, found [0.6, 0.5]"),
        ((0.0, 0.5), 0.0, 1.0, "two numbers in order, above 0 and at most 1, found [0.0, 0.5]"),
        ((0.5, 1.5), 0.0, 1.0, "two numbers in order, above 0 and at most 1, found [0.5, 1.5]"),
        ((3.0, 2.0), 0.0, math.inf, "two numbers in order, above 0, found [3.0, 2.0]"),
    ],
)
def test_ranges(value: tuple[float, ...], least: float, most: float, expected: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(f'augment.a.b: expected {expected}')}$"):
        check_range(value, "a.b", least, most)


def test_good_ranges_and_probabilities() -> None:
    check_range((1.0, 1.0), "a.b", 0.0, 1.0)
    check_range((0.3, 30.0), "a.b", 0.0, math.inf)
    check_probability(0.0, "a.b")
    check_probability(1.0, "a.b")
    with pytest.raises(ValueError, match=r"^augment\.a\.b: expected a number from 0 to 1, found 1\.5$"):
        check_probability(1.5, "a.b")
