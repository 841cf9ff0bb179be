"""What pictures of a run are drawn from: the images a training step gives the network, and logits of some images.

Programs of their own, beside those of training and validation, which stay what they are without pictures.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from numpy.typing import NDArray

from jaxnext.augment import Augmentation
from jaxnext.compat import XLA_INFERENCE_ON_CPU
from jaxnext.engine.parallel import AXIS, jit_shard_map, mesh_of
from jaxnext.engine.state import TrainBatch
from jaxnext.engine.steps import augmented_images
from jaxnext.models.classifier import Classifier
from jaxnext.normalization import normalize
from jaxnext.types import Variables


class Pictured(NamedTuple):
    """The rows of a training batch that this process has, as the network gets them."""

    image: NDArray[Any]
    """``[N, H, W, 3]``, augmented, normalised, mixed"""
    partner: NDArray[np.int32] | None
    """``[N]``: labels of the images mixed in; ``None`` in a run without mixing"""
    shares: NDArray[Any] | None
    """``[2]``: of an image's own label and of its partner's"""


def pictured(
    train_batch: TrainBatch, *, model: Classifier, augmentations: Sequence[Augmentation], mesh: Mesh
) -> Pictured:
    """Compute what a training step on this batch gives the network. All processes of the mesh must call it together.

    Args:
        train_batch: on the devices, as the training step is given it.
        model: whose dtype, mean and deviation images are normalised by.
        augmentations: that ``train_batch`` has parameters for.
        mesh: over which the batch is split.
    """

    def step(batch: TrainBatch) -> dict[str, jax.Array]:
        images, mixed = augmented_images(batch, model=model, augmentations=augmentations)
        if mixed is None:
            return {"image": images}
        return {"image": images, "partner": mixed.partner, "shares": mixed.shares}

    out = {"image": PartitionSpec(AXIS)}
    if train_batch.mix is not None:
        out |= {"partner": PartitionSpec(AXIS), "shares": PartitionSpec()}
    step.__name__ = "pictured"
    found = jit_shard_map(mesh, step, (PartitionSpec(AXIS),), out)(train_batch)
    if "shares" not in found:
        return Pictured(_own_rows(found["image"]), None, None)
    shares = np.asarray(found["shares"].addressable_data(0))
    return Pictured(_own_rows(found["image"]), _own_rows(found["partner"]), shares)


def compile_logits_step(model: Classifier, device: Any) -> Callable[[Variables, jax.Array], jax.Array]:
    """Return what computes logits ``[N, classes]`` of uint8 images ``[N, H, W, 3]`` on one device of this process.

    Compiled on first call; with running statistics, so that other devices and processes have no part in it.

    Args:
        model: built with or without ``axis_name``.
        device: which has the variables that it is given.
    """

    def logits_step(variables: Variables, images: jax.Array) -> jax.Array:
        images = normalize(images, model.dtype, model.mean, model.std)
        return model.apply(variables, images, train=False)  # pyright: ignore[reportReturnType]

    mesh = mesh_of([device])
    return jit_shard_map(
        mesh, logits_step, (PartitionSpec(), PartitionSpec(AXIS)), PartitionSpec(AXIS), XLA_INFERENCE_ON_CPU
    )


def on_first_device(tree: Any) -> Any:
    """Return the copies that this process's first device has of arrays that are the same on all; nothing is copied."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


def _own_rows(array: jax.Array) -> NDArray[Any]:
    shards = sorted(array.addressable_shards, key=lambda shard: shard.index[0].start or 0)
    return np.concatenate([np.asarray(shard.data) for shard in shards])
