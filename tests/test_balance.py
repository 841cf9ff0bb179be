import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxnext.data.balance import Balance, balanced

LABELS = np.array([2, 0, 0, 2, 0, 0, 0, 2, 3], np.int32)


def test_the_draws_are_pinned() -> None:
    # A resumed run continues the draws that an older version began: they must never change.
    assert Balance("oversample", LABELS).draw(7, 1).tolist() == [8, 2, 7, 1, 8, 8, 6, 7, 4, 3, 8, 5, 8, 0, 0]
    assert Balance("weights", LABELS).draw(7, 1).tolist() == [5, 8, 5, 3, 8, 1, 0, 8, 6]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=50), st.integers(0, 2**32 - 1), st.integers(1, 100))
def test_oversampled_classes_are_equal(labels: list[int], seed: int, epoch: int) -> None:
    balance = Balance("oversample", np.array(labels, np.int32))
    ids = balance.draw(seed, epoch)
    most = max(labels.count(label) for label in labels)
    assert len(ids) == len(balance) == most * len(set(labels))
    for label in set(labels):
        times = [int(np.sum(ids == i)) for i, other in enumerate(labels) if other == label]
        assert sum(times) == most
        assert max(times) - min(times) <= 1


@pytest.mark.parametrize("kind", ["oversample", "weights"])
def test_a_function_of_seed_and_epoch(kind) -> None:
    balance, copy = Balance(kind, LABELS), pickle.loads(pickle.dumps(Balance(kind, LABELS)))
    draws = {tuple(balance.draw(seed, epoch).tolist()) for seed in (0, 1) for epoch in (1, 2, 3)}
    assert len(draws) == 6
    assert copy.draw(3, 4).tolist() == balance.draw(3, 4).tolist()


def test_weighted_draws_are_even_over_classes() -> None:
    labels = np.repeat(np.arange(3, dtype=np.int32), [9000, 900, 100])
    ids = Balance("weights", labels).draw(0, 1)
    assert len(ids) == 10_000
    assert np.abs(np.bincount(labels[ids]) / 10_000 - 1 / 3).max() < 0.02
    assert len(set(ids[labels[ids] == 2].tolist())) == 100


def test_none_is_no_balance() -> None:
    assert balanced("none", LABELS) is None
    assert balanced("weights", LABELS) is not None
