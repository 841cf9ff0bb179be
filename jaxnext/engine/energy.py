"""The energy of an image, a score for whether it is of any of the classes that a net was trained on.

It is minus the logarithm of the sum of the exponentials of the logits: lower for what the net knows (W. Liu et al.,
Energy-based Out-of-distribution Detection, 2020, at their temperature of 1).
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh, PartitionSpec

from jaxnext.compat import XLA_INFERENCE_ON_CPU
from jaxnext.engine.averaging import at_temperature, logits
from jaxnext.engine.parallel import AXIS, jit_shard_map
from jaxnext.models.classifier import Classifier


def probabilities_and_energy(
    variables: dict[str, Any], images: jax.Array, *, model: Classifier, temperature: float
) -> tuple[jax.Array, jax.Array]:
    """Return the class probabilities ``[N, classes]`` and energies ``[N]`` of uint8 images ``[N, H, W, 3]``.

    Args:
        variables: of the net.
        images: a batch.
        model: the net.
        temperature: of the probabilities; the energy does not depend on it.
    """
    found = logits(variables, images, model=model)
    energy: Any = jax.nn.logsumexp(found, axis=-1)  # pyright: ignore[reportArgumentType, reportCallIssue]
    return jax.nn.softmax(at_temperature(found, temperature)), -energy


def compile_probabilities_and_energy(
    model: Classifier, mesh: Mesh, temperature: float
) -> Callable[[dict[str, Any], jax.Array], tuple[jax.Array, jax.Array]]:
    """Return ``probabilities_and_energy`` over a mesh, compiled on first call."""

    def step(variables: dict[str, Any], images: jax.Array) -> tuple[jax.Array, jax.Array]:
        return probabilities_and_energy(variables, images, model=model, temperature=temperature)

    step.__name__ = probabilities_and_energy.__name__
    split = PartitionSpec(AXIS)
    return jit_shard_map(mesh, step, (PartitionSpec(), split), (split, split), XLA_INFERENCE_ON_CPU)
