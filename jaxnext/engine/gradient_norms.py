"""How large the gradients of each part of a network are on one batch, to say where a training step has broken.

A program of its own, compiled when it is asked for: that of training stays what it is without it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from jaxnext.augment import Augmentation
from jaxnext.engine.parallel import AXIS, jit_shard_map
from jaxnext.engine.state import TrainBatch, TrainState
from jaxnext.engine.steps import augmented_images, gradients_of
from jaxnext.losses import Loss
from jaxnext.models.classifier import Classifier
from jaxnext.tree import PARTS, flatten


def gradient_norms(
    state: TrainState,
    train_batch: TrainBatch,
    *,
    model: Classifier,
    augmentations: Sequence[Augmentation],
    loss: Loss,
    mesh: Mesh,
) -> dict[str, float]:
    """Compute the norms of the gradients that a training step would have. All processes of the mesh must call it.

    Args:
        state: before the step; its number decides what is dropped.
        train_batch: on the devices, as the training step is given it.
        model: built with ``axis_name=AXIS``; of its ``frozen`` parts there is no gradient.
        augmentations: that ``train_batch`` has parameters for.
        loss: that is minimised.
        mesh: over which the batch is split.

    Returns:
        by part (``backbone``, ``attention``, ``head``), those that are trained, in this order; infinite or not a number
        where a gradient is.
    """

    def step(state: TrainState, train_batch: TrainBatch) -> dict[str, Any]:
        batch = train_batch.batch
        images, mixed = augmented_images(train_batch, model=model, augmentations=augmentations)
        return gradients_of(state, images, batch.label, batch.mask, mixed=mixed, model=model, loss=loss).gradients

    step.__name__ = "gradients"
    specs = (PartitionSpec(), PartitionSpec(AXIS))
    return norms(jit_shard_map(mesh, step, specs, PartitionSpec())(state, train_batch))


def norms(tree: Mapping[str, Any]) -> dict[str, float]:
    """Return the norm of each part, in float64, so that none overflows whose numbers do not.

    Args:
        tree: of arrays, the same on all devices, with the parts' names first.
    """
    squares = dict.fromkeys((part for part in PARTS if part in tree), 0.0)
    for path, leaf in flatten(tree).items():
        wide = np.asarray(jax.device_get(leaf)).astype(np.float64)
        squares[path[0]] += float(np.sum(wide * wide))
    return {part: float(np.sqrt(square)) for part, square in squares.items()}
