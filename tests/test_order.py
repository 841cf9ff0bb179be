import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnext.data.balance import Balance
from jaxnext.data.order import ShuffledOrder, sequential_order


def test_two_epochs_by_hand() -> None:
    order = ShuffledOrder(train_size=5, val_size=3, batch_size=2, epochs=2, seed=0)
    plans = [order.locate(i) for i in range(len(order))]
    assert [p.index for p in plans] == list(range(10))
    assert [p.epoch for p in plans] == [1] * 5 + [2] * 5
    assert [p.training for p in plans] == [True, True, True, False, False] * 2
    assert [p.step for p in plans] == [0, 1, 2, 0, 1, 3, 4, 5, 0, 1]
    assert [len(p.ids) for p in plans] == [2, 2, 1, 2, 1] * 2
    assert [p.last for p in plans] == [False, False, True, False, True] * 2
    assert [p.ids.tolist() for p in plans if not p.training] == [[0, 1], [2]] * 2
    assert (order.train_steps_per_epoch, order.val_steps_per_epoch, order.batches_per_epoch) == (3, 2, 5)


def test_the_order_is_pinned() -> None:
    # A resumed run continues the order that an older version began: it must never change.
    order = ShuffledOrder(train_size=8, val_size=1, batch_size=8, epochs=2, seed=7)
    assert order.locate(0).ids.tolist() == [6, 3, 1, 0, 2, 4, 7, 5]
    assert order.locate(2).ids.tolist() == [6, 0, 2, 3, 7, 5, 1, 4]
    assert order.locate(0).ids.dtype == np.int64


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 40), st.integers(0, 20), st.integers(1, 9), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_each_example_once_an_epoch(train: int, val: int, batch: int, epochs: int, seed: int) -> None:
    order = ShuffledOrder(train, val, batch, epochs, seed)
    plans = [order.locate(i) for i in range(len(order))]
    for epoch in range(1, epochs + 1):
        ids = [i for p in plans if p.epoch == epoch and p.training for i in p.ids.tolist()]
        assert sorted(ids) == list(range(train))
        assert [i for p in plans if p.epoch == epoch and not p.training for i in p.ids.tolist()] == list(range(val))
    assert all(1 <= len(p.ids) <= batch for p in plans)
    assert [p.step for p in plans if p.training] == list(range(epochs * order.train_steps_per_epoch))


def test_more_epochs_leave_the_earlier_ones() -> None:
    short, long = ShuffledOrder(11, 4, 3, 2, 5), ShuffledOrder(11, 4, 3, 9, 5)
    assert len(long) > len(short)
    for index in range(len(short)):
        assert short.locate(index).ids.tolist() == long.locate(index).ids.tolist()


def test_the_order_is_that_of_seed_and_epoch_alone() -> None:
    def order(epoch: int, batch_size: int, seed: int = 5, val_size: int = 4) -> list[int]:
        order = ShuffledOrder(30, val_size, batch_size, 3, seed)
        plans = map(order.locate, range(len(order)))
        return [i for p in plans if p.training and p.epoch == epoch for i in p.ids.tolist()]

    assert order(2, 3) == order(2, 7) == order(2, 30, val_size=1)
    assert len({tuple(order(epoch, 30, seed)) for epoch in (1, 2, 3) for seed in (0, 1)}) == 6


@pytest.mark.parametrize("index", [-1, 10])
def test_outside(index: int) -> None:
    with pytest.raises(IndexError, match=f"batch {index} of a run of 10"):
        ShuffledOrder(5, 3, 2, 2, 0).locate(index)
    with pytest.raises(IndexError):
        sequential_order(20, 2).locate(index)


@pytest.mark.parametrize(
    "sizes", [(-1, 1, 1, 1, 0), (1, -1, 1, 1, 0), (1, 1, 0, 1, 0), (1, 1, 1, -1, 0), (1, 1, 1, 1, -1)]
)
def test_bad_sizes(sizes: tuple[int, int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        ShuffledOrder(*sizes)


def test_sequential() -> None:
    plans = [sequential_order(5, 2).locate(i) for i in range(3)]
    assert [p.ids.tolist() for p in plans] == [[0, 1], [2, 3], [4]]
    assert [(p.index, p.epoch, p.training, p.step, p.last) for p in plans] == [
        (0, 1, False, 0, False),
        (1, 1, False, 1, False),
        (2, 1, False, 2, True),
    ]
    assert len(sequential_order(0, 2)) == 0
    with pytest.raises(ValueError, match="batch size must be at least 1"):
        sequential_order(5, 0)


def test_a_balanced_order() -> None:
    balance = Balance("oversample", np.array([0, 0, 0, 1], np.int32))
    order = ShuffledOrder(len(balance), 0, 4, 2, 7, balance)
    plans = [order.locate(i) for i in range(len(order))]
    assert [len(plan.ids) for plan in plans] == [4, 2, 4, 2]
    for epoch in (1, 2):
        ids = [i for plan in plans if plan.epoch == epoch for i in plan.ids.tolist()]
        assert ids == balance.draw(7, epoch).tolist()
        assert sorted(ids) == [0, 1, 2, 3, 3, 3]
