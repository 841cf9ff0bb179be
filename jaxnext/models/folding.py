"""Batch norms folded into the layers before them, for inference.

With running statistics a batch norm is ``y * factor + (bias - mean * factor)``, where each channel has its ``factor =
scale / sqrt(var + eps)``. Behind a convolution or dense layer the factor goes into that layer's kernel (and bias, where
it has one), and only an addition is left, which XLA fuses with the layer and the activation.
"""

import numpy as np

from jaxnext.errors import JaxnextError
from jaxnext.models.classifier import Classifier
from jaxnext.models.norm import BatchNorm
from jaxnext.models.summary import variable_shapes
from jaxnext.tree import flatten, path_name, unflatten
from jaxnext.types import LeafPath, Variables

LAYERS_BEFORE = ("conv", "hidden")
"""A norm's layer stands in the same module and has its name, with one of these for ``norm``.

``stem_norm`` follows ``stem_conv``, ``norm1`` follows ``conv1`` or ``hidden1``.
"""


def fold(variables: Variables, model: Classifier) -> Variables:
    """The variables of a network whose batch norms are folded, from those of the same one with the norms.

    A norm is folded where the folded network has no ``scale`` for it; one of a head or attention without the field
    ``folded`` keeps its variables. Computed in float64 and rounded once to each leaf's dtype.

    Args:
        variables: nested dict of host arrays, ``params`` and ``batch_stats``; stays as it is.
        model: from ``classifier.build(..., folded=True)``.

    Returns:
        nested dict of NumPy arrays; without ``batch_stats`` where no norm is left.

    Raises:
        JaxnextError: a norm without its layer, or leaves that are not those of the network; all of them are named. Or
            weights that are not finite.
    """
    flat: dict[LeafPath, np.ndarray] = {path: np.asarray(leaf) for path, leaf in flatten(variables).items()}
    # oneDNN's ReLU makes zero of NaN: the predictions of a net that has diverged would look like any others.
    broken = [path_name(path) for path, leaf in sorted(flat.items()) if not np.isfinite(leaf.astype(np.float64)).all()]
    if broken:
        more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        raise JaxnextError(f"expected finite weights, found NaN or infinity in {broken[0]}{more}")
    wanted = flatten(variable_shapes(model))
    norms = [path[1:-1] for path in flat if path[-1] == "scale" and path not in wanted]
    problems = [line for norm in norms for line in _fold_one(flat, norm)]
    if not problems:
        problems += [f"{path_name(path)}: expected, not found" for path in sorted(wanted.keys() - flat.keys())]
        problems += [f"{path_name(path)}: not in the folded network" for path in sorted(flat.keys() - wanted.keys())]
    if problems:
        raise JaxnextError("the batch norms cannot be folded into their layers:\n  " + "\n  ".join(problems))
    return unflatten(flat)


def _fold_one(flat: dict[LeafPath, np.ndarray], norm: LeafPath) -> list[str]:
    """Take scale and statistics of a norm out of ``flat`` and put them into its layer's leaves and its own bias.

    Returns:
        what stands in the way, if anything; ``flat`` is then as it was.
    """
    layers = [(*norm[:-1], norm[-1].replace("norm", kind)) for kind in LAYERS_BEFORE]
    kernels = [path for layer in layers if (path := ("params", *layer, "kernel")) in flat]
    scale, bias = ("params", *norm, "scale"), ("params", *norm, "bias")
    mean, var, tracked = (("batch_stats", *norm, name) for name in ("mean", "var", "num_batches_tracked"))
    if len(kernels) != 1:
        expected = " or ".join(path_name(("params", *layer, "kernel")) for layer in layers)
        return [f"{path_name(scale)}: expected {expected} before it, found {'both' if kernels else 'neither'}"]
    (kernel,) = kernels
    features = list(flat[kernel].shape[-1:])
    sizes = {path: list(flat[path].shape) if path in flat else "no such leaf" for path in (scale, bias, mean, var)}
    wrong = [
        f"{path_name(path)}: expected {features}, found {size}" for path, size in sizes.items() if size != features
    ]
    if wrong:
        return wrong
    factor = flat[scale] / np.sqrt(flat[var].astype(np.float64) + BatchNorm.eps)
    for path in (kernel, (*kernel[:-1], "bias")):
        if path in flat:
            # Output channels are the last axis of kernels and biases alike.
            flat[path] = (flat[path] * factor).astype(flat[path].dtype)
    flat[bias] = (flat[bias] - flat[mean] * factor).astype(flat[bias].dtype)
    for path in (scale, mean, var, tracked):
        flat.pop(path, None)
    return []
