"""Which examples stand in which batch: pure index arithmetic, the same for any number of workers and devices.

A training run is one stream of batches: the training batches of epoch 1, its validation batches, those of epoch 2, and
so on. Workers and prefetch therefore go on across the borders, and a position in the run is a single number.
"""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxnext.data.balance import Balance


class BatchPlan(NamedTuple):
    """One batch of an order."""

    index: int  # pyright: ignore[reportIncompatibleMethodOverride]
    """position in the order, from 0"""
    epoch: int
    """epoch, from 1"""
    training: bool
    """whether it is trained on or evaluated"""
    step: int
    """of a training batch the number of training steps before it in the run; else its position in the evaluation"""
    ids: NDArray[np.int64]
    """examples in the batch: ``[n]`` with n from 1 to the batch size"""
    last: bool
    """whether it ends its phase, the training or the evaluation of an epoch"""


@dataclasses.dataclass(frozen=True)
class ShuffledOrder:
    """Training and validation batches of every epoch of a run.

    The order of training examples is a function of seed and epoch alone, also a balanced one, so that more epochs leave
    the earlier ones as they were. Validation examples keep their order. The last batch of a phase may be smaller; none
    is empty. Without training examples there is nothing but evaluation.
    """

    train_size: int
    """training examples in an epoch"""
    val_size: int
    batch_size: int
    epochs: int
    seed: int
    balance: Balance | None = None
    """draws the ``train_size`` examples of an epoch; None: each of as many comes once"""

    def __post_init__(self) -> None:
        if self.batch_size < 1 or min(self.train_size, self.val_size, self.epochs, self.seed) < 0:
            raise ValueError(f"the batch size must be at least 1, all else at least 0, found {self}")

    @property
    def train_steps_per_epoch(self) -> int:
        """Training batches in an epoch."""
        return -(-self.train_size // self.batch_size)

    @property
    def val_steps_per_epoch(self) -> int:
        """Validation batches in an epoch."""
        return -(-self.val_size // self.batch_size)

    @property
    def batches_per_epoch(self) -> int:
        """Training and validation batches in an epoch."""
        return self.train_steps_per_epoch + self.val_steps_per_epoch

    def __len__(self) -> int:
        return self.epochs * self.batches_per_epoch

    def locate(self, index: int) -> BatchPlan:
        """The batch at a position of the run.

        Args:
            index: position from 0.

        Raises:
            IndexError: outside the run.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of a run of {len(self)}")
        past, offset = divmod(index, self.batches_per_epoch)
        epoch = past + 1
        steps = self.train_steps_per_epoch
        if offset < steps:
            order = _epoch(self.balance or self.train_size, self.seed, epoch)
            ids = order[offset * self.batch_size : (offset + 1) * self.batch_size]
            return BatchPlan(index, epoch, True, past * steps + offset, ids, offset == steps - 1)
        offset -= steps
        ids = _consecutive(offset, self.batch_size, self.val_size)
        return BatchPlan(index, epoch, False, offset, ids, offset == self.val_steps_per_epoch - 1)


def sequential_order(size: int, batch_size: int) -> ShuffledOrder:
    """Return the order of every example once, for prediction and evaluation."""
    return ShuffledOrder(0, size, batch_size, 1, 0)


def _consecutive(offset: int, batch_size: int, size: int) -> NDArray[np.int64]:
    return np.arange(offset * batch_size, min((offset + 1) * batch_size, size), dtype=np.int64)


# Two, because batches of the next epoch are prepared while the last ones of this epoch still are.
@functools.lru_cache(maxsize=2)
def _epoch(examples: Balance | int, seed: int, epoch: int) -> NDArray[np.int64]:
    if isinstance(examples, Balance):
        order = examples.draw(seed, epoch)
    else:
        order = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, epoch]))).permutation(examples)
        order = order.astype(np.int64, copy=False)
    order.setflags(write=False)
    return order
