"""Losses per example; steps sum them under a mask."""

import jax
import jax.numpy as jnp


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Return the label's negative log-likelihood, as ``torch.nn.CrossEntropyLoss(reduction="none")``.

    Args:
        logits: ``[N, classes]``.
        labels: ``[N]`` int32, class indices.

    Returns:
        ``[N]``, natural logarithm, dtype of the logits.
    """
    log_probabilities = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(log_probabilities, labels[:, None], axis=-1)[:, 0]
