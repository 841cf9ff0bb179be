"""Gradients of several batches that make one update, as a loop in PyTorch that steps every k-th batch.

Each batch goes through the network alone, so that batch norms see it alone, and moves the running statistics. The
update is that of the mean of the batches' gradients, as of ``loss / k`` and ``backward`` k times. What is left at the
end of an epoch, fewer than k batches, makes an update too, of the mean over as many as there are, as timm's training
script has it.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Accumulated(NamedTuple):
    """What has been gathered since the last update."""

    gradients: dict[str, Any]
    """sums over the batches"""
    batches: jax.Array
    """int32 scalar: batches that count"""


@dataclasses.dataclass(frozen=True)
class Accumulation:
    """Which batches make an update together; where in a group a run stands follows from the number of the step."""

    batches: int
    """of an update"""
    steps_per_epoch: int
    """batches of an epoch"""

    @property
    def updates_per_epoch(self) -> int:
        """Updates of the optimizer in an epoch."""
        return -(-self.steps_per_epoch // self.batches)

    def updates_before(self, step: int) -> int:
        """Return the number of updates before a batch, the number of batches before it given."""
        epochs, offset = divmod(step, self.steps_per_epoch)
        return epochs * self.updates_per_epoch + offset // self.batches

    def due(self, step: jax.Array) -> jax.Array:
        """Return whether a batch is the last of its group; ``step``: batches before it, int32 scalar."""
        done = step % self.steps_per_epoch + 1
        return (done % self.batches == 0) | (done == self.steps_per_epoch)


def start(params: dict[str, Any]) -> Accumulated:
    """Return nothing gathered; of ``params``, those that are trained, only shapes and dtypes are read."""
    return Accumulated(jax.tree.map(lambda p: jnp.zeros(p.shape, p.dtype), params), jnp.zeros((), jnp.int32))


def gathered(before: Accumulated, gradients: dict[str, Any], counts: jax.Array) -> Accumulated:
    """Return what is gathered with a batch's gradients; ``counts``: whether it does, bool scalar."""
    # Chosen, not multiplied: what does not count may not be a number.
    sums = jax.tree.map(lambda sum_, g: jnp.where(counts, sum_ + g, sum_), before.gradients, gradients)
    return Accumulated(sums, before.batches + counts.astype(jnp.int32))


def mean(gathered: Accumulated) -> dict[str, Any]:
    """Return the mean of the gradients."""
    return jax.tree.map(lambda g: g / jnp.maximum(gathered.batches, 1).astype(g.dtype), gathered.gradients)
