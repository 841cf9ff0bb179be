"""Literals are those of statsmodels 0.15.0 (``mcnemar``) and SciPy 1.17.1 (``bootstrap``)."""

import math

import numpy as np
import pytest

from jaxnext.reporting.paired import Block, better, difference, differences, images_to_decide, mcnemar


@pytest.mark.parametrize(
    ("only_first", "only_second", "statistic", "p_value"),
    [
        (0, 0, 0.0, 1.0),
        (3, 0, 0.0, 0.25),
        (6, 0, 0.0, 0.03125),
        (10, 2, 2.0, 0.03857421875),
        (12, 12, 12.0, 1.0),
        (9, 15, 9.0, 0.30745625495910645),
        (20, 5, 7.84, 0.005110260660855866),
        (13, 12, 0.0, 1.0),
        (30, 30, 0.016666666666666666, 0.897278961260083),
        (40, 20, 6.016666666666667, 0.014171388254012323),
        (200, 150, 6.86, 0.008814654904213312),
    ],
)
def test_mcnemar_is_statsmodels(only_first: int, only_second: int, statistic: float, p_value: float) -> None:
    found = mcnemar(only_first, only_second)
    assert found.exact == (only_first + only_second < 25)
    assert found.statistic == pytest.approx(statistic, rel=1e-12)
    assert found.p_value == pytest.approx(p_value, rel=1e-12)


def one_run_each(images: int = 200) -> Block:
    random = np.random.default_rng(3)
    first = random.random(images) < 0.9
    second = np.where(random.random(images) < 0.1, ~first, first) | (random.random(images) < 0.02)
    return Block(np.arange(images), first[None], second[None])


def test_one_run_each_is_scipys_paired_bootstrap() -> None:
    block = one_run_each()
    assert better([block]) == (19, 1)
    assert difference([block], 7) == pytest.approx((0.09, 0.05, 0.135), abs=1e-12)
    assert difference([block._replace(first=block.second, second=block.first)], 7) == pytest.approx(
        (-0.09, -0.135, -0.05), abs=1e-12
    )


def test_images_are_known_by_their_numbers() -> None:
    """The first and the last image are in both blocks; of the first each setting is right once."""
    blocks = [
        Block(np.array([0, 1, 3]), np.array([[1, 1, 1]], bool), np.array([[0, 1, 0]], bool)),
        Block(np.array([3, 2, 0]), np.array([[1, 0, 0]], bool), np.array([[0, 1, 1]], bool)),
    ]
    assert better(blocks) == (1, 1)
    assert difference(blocks, 0).value == pytest.approx(1 / 6)


def test_the_mean_over_runs() -> None:
    block = Block(np.arange(3), np.array([[1, 1, 0], [1, 0, 0]], bool), np.array([[1, 0, 1]], bool))
    assert differences(block).tolist() == [0, 0.5, -1]
    assert better([block]) == (1, 1)
    assert difference([block], 0).value == pytest.approx(-1 / 6)


def test_runs_and_folds_that_differ_widen_the_interval() -> None:
    """Each run is right on all images or on none, or each fold; by the images alone nothing would be uncertain."""
    images = np.arange(50)
    always, never = np.ones((1, 50), bool), np.zeros((1, 50), bool)
    runs = difference([Block(images, np.concatenate([always, never]), never)], 0)
    # Of two runs drawn with replacement, both are the right one in a quarter of the draws, and both the wrong one.
    assert runs == (0.5, 0, 1)
    folds = difference([Block(images, always, never), Block(images + 50, never, never)], 0)
    assert folds == (0.5, 0, 1)
    assert difference([Block(images, always, never)], 0) == (1, 1, 1)


def test_the_interval_holds_the_truth() -> None:
    """In about 47 of fifty data sets: 8 % of the images only the first gets right, 3 % only the second."""
    held = 0
    for seed in range(50):
        kind = np.random.default_rng(seed).random(400)
        first, second = kind < 0.88, (kind < 0.8) | (kind > 0.97)
        value, low, high = difference([Block(np.arange(400), first[None], second[None])], seed, 200)
        assert low <= value <= high
        held += low <= 0.05 <= high
    assert 44 <= held <= 50


def test_the_number_that_decides_has_a_power_of_four_fifths() -> None:
    each = np.repeat([1.0, -1.0, 0.0], [10, 5, 85])
    # (1.959964 sqrt(0.15) + 0.841621 sqrt(0.15 - 0.0025))^2 / 0.0025
    images = images_to_decide(each)
    assert images == 469
    random = np.random.default_rng(0)
    counts = random.multinomial(images, [0.1, 0.05, 0.85], 20_000)
    found = np.abs(counts[:, 0] - counts[:, 1]) > 1.959964 * np.sqrt(counts[:, 0] + counts[:, 1])
    assert found.mean() == pytest.approx(0.8, abs=0.015)


def test_no_difference_is_never_decided() -> None:
    assert images_to_decide(np.array([1.0, -1.0, 0.0])) is None
    # All images alike: two would do, were they drawn so again.
    assert images_to_decide(np.ones(3)) == math.ceil(1.959964**2)
