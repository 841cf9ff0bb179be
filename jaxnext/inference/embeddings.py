"""An image as a vector: the mean over all places of what the net's head is given.

It is computed by a program of its own, from what the net sows: the ones that predict have none.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from numpy.typing import NDArray

from jaxnext.compat import XLA_INFERENCE_ON_CPU
from jaxnext.engine.parallel import AXIS, jit_shard_map
from jaxnext.models.classifier import Classifier
from jaxnext.normalization import normalize
from jaxnext.types import Variables

if TYPE_CHECKING:
    from jaxnext.inference.predictor import Predictor


def embeddings(variables: Variables, images: jax.Array, *, model: Classifier) -> jax.Array:
    """Return the embeddings of images.

    Args:
        variables: of the net.
        images: uint8 ``[N, H, W, 3]``.
        model: the net.

    Returns:
        ``[N, C]``, C the channels of the head's input; at least float32.
    """
    shown = normalize(images, model.dtype, model.mean, model.std)
    _, updated = model.apply(variables, shown, train=False, mutable=["intermediates"])
    features: Any = updated["intermediates"]["head_input"][0]  # pyright: ignore[reportArgumentType, reportCallIssue]
    return features.astype(jnp.promote_types(features.dtype, jnp.float32)).mean((1, 2))


def compile_embeddings(model: Classifier, mesh: Mesh) -> Callable[[Variables, jax.Array], jax.Array]:
    """Return ``embeddings`` over a mesh, compiled on first call."""

    def step(variables: Variables, images: jax.Array) -> jax.Array:
        return embeddings(variables, images, model=model)

    step.__name__ = embeddings.__name__
    split = PartitionSpec(AXIS)
    return jit_shard_map(mesh, step, (PartitionSpec(), split), split, XLA_INFERENCE_ON_CPU)


def embed(classifier: "Predictor", images: Any, batch_size: int) -> NDArray[np.floating]:
    """Return the embeddings of images of any kind; see ``Predictor.embed``."""
    net = classifier.only_net("embeddings")
    if isinstance(images, str | Path):
        images = [images]
    found = [net.embeddings(batch, batch_size) for batch in net.shown(images, batch_size)]
    # Without images the net is asked about none, for the number of channels.
    return np.concatenate(found or [net.embeddings(np.zeros((0, *net.pixels.shape), np.uint8), batch_size)])
