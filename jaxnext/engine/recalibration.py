"""Running statistics of batch norms computed anew, as ``torch.optim.swa_utils.update_bn`` does."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxnext.models.norm import BATCH_MOMENTS
from jaxnext.tree import flatten, path_name, unflatten
from jaxnext.types import LeafPath, Variables

Statistics = dict[str, Any]
"""The ``batch_stats`` collection."""


class Distance(NamedTuple):
    """How far two sets of statistics are from each other, where they are farthest."""

    deviations: float
    """root mean square over the channels of a norm, in standard deviations"""
    norm: str
    """its path"""


def recalibration_order(images: int, seed: int) -> NDArray[np.int64]:
    """Return the numbers of all images in the order in which statistics are computed.

    Where batches were of one class, the variances would lack what lies between classes.

    Args:
        images: their number.
        seed: of the run.
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0]))).permutation(images)


def blank(statistics: Statistics, frozen: set[LeafPath]) -> Statistics:
    """Return statistics as before the first batch: means 0, variances 1, no batch counted.

    Args:
        statistics: of which shapes and dtypes are read.
        frozen: paths of leaves that stay.
    """
    flat = flatten(statistics)
    values = {"mean": np.zeros, "var": np.ones, "num_batches_tracked": np.zeros}
    return unflatten(
        {
            path: np.asarray(leaf)
            if path in frozen or path[-1] not in values
            else values[path[-1]](leaf.shape, leaf.dtype)
            for path, leaf in flat.items()
        }
    )


def averaged(statistics: Statistics, sown: Statistics) -> Statistics:
    """Return the cumulative means after a batch, each batch with the same weight, as with PyTorch's ``momentum=None``.

    Args:
        statistics: after the batches before.
        sown: the collection ``BATCH_MOMENTS`` of the batch.
    """
    flat = flatten(statistics)
    for (*norm, _), calls in flatten(sown).items():
        for mean, var, count in calls:
            seen = flat[*norm, "num_batches_tracked"] + (count > 0)
            share = 1 / jnp.maximum(seen, 1).astype(mean.dtype)
            for name, new, least in (("mean", mean, 0), ("var", var, 1)):
                old = flat[*norm, name]
                flat[*norm, name] = jnp.where(count > least, (1 - share) * old + share * new, old)
            flat[*norm, "num_batches_tracked"] = seen
    return unflatten(flat)


def farthest(running: Statistics, anew: Statistics, eps: float = 1e-5) -> Distance | None:
    """Return the norm whose running statistics are farthest from those computed anew; ``None`` where there is no norm.

    Of a channel it is the larger of two: the difference of the means in standard deviations, and the logarithm of the
    ratio of the standard deviations.

    Args:
        running: as training has left them.
        anew: over all images.
        eps: added to variances.
    """
    before, after = flatten(running), flatten(anew)
    found = []
    for path in (path for path in after if path[-1] == "var"):
        place = (*path[:-1], "mean")
        mean, var, right, wanted = (
            np.asarray(leaf, np.float64) for leaf in (before[place], before[path], after[place], after[path])
        )
        moved = np.abs(mean - right) / np.sqrt(wanted + eps)
        scaled = np.abs(np.log((var + eps) / (wanted + eps))) / 2
        found.append(Distance(float(np.sqrt(np.mean(np.maximum(moved, scaled) ** 2))), path_name(path[:-1])))
    return max(found, default=None)


def sown_moments(model: Any, variables: Variables, images: jax.Array, mask: jax.Array) -> Statistics:
    """Return the collection ``BATCH_MOMENTS`` of a batch in training mode, without dropout; it may be empty."""
    mutable = ["batch_stats", BATCH_MOMENTS]
    return model.apply(variables, images, train=True, mask=mask, mutable=mutable)[1].get(BATCH_MOMENTS, {})
