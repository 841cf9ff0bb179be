"""The mean of several answers to the same images: those of one net to several views, or those of several nets.

Nets answer in logarithms of probabilities, so that a probability too small for the dtype keeps its logarithm, which the
loss needs. Each compiled function runs on every device over its share of the batch.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from jaxnext.compat import XLA_INFERENCE_ON_CPU
from jaxnext.engine.parallel import AXIS, jit_shard_map
from jaxnext.engine.steps import Sums
from jaxnext.metrics import metric_sums
from jaxnext.models.classifier import Classifier
from jaxnext.normalization import normalize
from jaxnext.ops.collectives import psum


def log_probabilities(
    variables: dict[str, Any], images: jax.Array, *, model: Classifier, temperature: float = 1.0
) -> jax.Array:
    """Return the logarithms of the class probabilities ``[N, classes]`` of uint8 images ``[N, H, W, 3]``.

    They are the logits at the temperature, less what makes the probabilities add up to 1.
    """
    return jax.nn.log_softmax(logits(variables, images, model=model, temperature=temperature))


def logits(variables: dict[str, Any], images: jax.Array, *, model: Classifier, temperature: float = 1.0) -> jax.Array:
    """Return the logits ``[N, classes]`` of uint8 images ``[N, H, W, 3]``, divided by a temperature."""
    found = model.apply(variables, normalize(images, model.dtype, model.mean, model.std), train=False)
    return at_temperature(found, temperature)


def at_temperature(logits: Any, temperature: float) -> Any:
    """Return logits divided by a temperature (C. Guo et al., On Calibration of Modern Neural Networks, 2017).

    At 1 they stay the values that they are, and the program stays as it is.
    """
    return logits if temperature == 1 else logits / temperature


def mean_of_probabilities(answers: Sequence[jax.Array], weights: Sequence[float] | None = None) -> jax.Array:
    """Return the logarithm of the weighted mean of the probabilities.

    Args:
        answers: logarithms of probabilities, ``[N, classes]`` each.
        weights: of each, at least 0, some above; they need not add up to 1. ``None``: all weigh the same.
    """
    stacked = jnp.stack(answers)
    given = np.ones(len(answers)) if weights is None else np.asarray(weights, np.float64)
    shares = given / given.sum()
    return jax.nn.logsumexp(stacked, axis=0, b=jnp.asarray(shares, stacked.dtype).reshape(-1, 1, 1))


def mean_of_logits(answers: Sequence[jax.Array]) -> jax.Array:
    """Return the logarithm of the probabilities that the mean of the logits gives.

    Args:
        answers: logarithms of probabilities, ``[N, classes]`` each. Each is off from the logits by one number an image,
            which makes no difference: the result's probabilities are made to add up to 1.
    """
    return jax.nn.log_softmax(jnp.mean(jnp.stack(answers), axis=0))


def compile_log_probabilities(
    model: Classifier, mesh: Mesh, temperature: float = 1.0
) -> Callable[[dict[str, Any], jax.Array], jax.Array]:
    """Return ``log_probabilities`` over a mesh, compiled on first call."""

    def step(variables: dict[str, Any], images: jax.Array) -> jax.Array:
        return log_probabilities(variables, images, model=model, temperature=temperature)

    step.__name__ = log_probabilities.__name__
    return jit_shard_map(mesh, step, (PartitionSpec(), PartitionSpec(AXIS)), PartitionSpec(AXIS), XLA_INFERENCE_ON_CPU)


def compile_rows(mesh: Mesh, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function of rows to rows over a mesh, compiled on first call.

    Args:
        mesh: its devices share the rows.
        function: of a tree of arrays to another, each split along its leading axis.
    """
    return jit_shard_map(mesh, function, (PartitionSpec(AXIS),), PartitionSpec(AXIS))


def compile_sums(mesh: Mesh) -> Callable[[jax.Array, jax.Array, jax.Array], Sums]:
    """Return a function of logarithms of probabilities, labels and mask to metric sums over all devices."""

    def sums(answers: jax.Array, labels: jax.Array, mask: jax.Array) -> Sums:
        return psum(metric_sums(answers, labels, mask), AXIS)

    return jit_shard_map(mesh, sums, (PartitionSpec(AXIS),) * 3, PartitionSpec())
