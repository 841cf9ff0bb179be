"""Batch norms folded into the layers before them, for inference.

With running statistics a batch norm is ``y * factor + (bias - mean * factor)``, where each channel has its ``factor =
scale / sqrt(var + eps)``. Behind a convolution or dense layer the factor goes into that layer's kernel (and bias, where
it has one), and only an addition is left, which XLA fuses with the layer and the activation.

Which layer a norm follows is read from the network's trace: a norm is folded where it is given the output of a ``Conv``
or ``Dense`` that nothing else reads, and both are called once. Any other keeps its variables.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name

from jaxnext.errors import JaxnextError
from jaxnext.models.classifier import Classifier
from jaxnext.models.layers import Conv, Dense
from jaxnext.models.norm import BatchNorm
from jaxnext.tree import differences, flatten, path_name, unflatten
from jaxnext.types import LeafPath, Variables

STATISTICS = ("mean", "var", "num_batches_tracked")


def fold(variables: Variables, model: Classifier) -> Variables:
    """Return a network's variables with its batch norms folded; the same network computes with either.

    Computed in float64 and rounded once to each leaf's dtype.

    Args:
        variables: nested dict of host arrays, ``params`` and ``batch_stats``; stays as it is.
        model: the network.

    Returns:
        nested dict of NumPy arrays; without ``batch_stats`` where no norm is left.

    Raises:
        JaxnextError: leaves that are not those of the network, or weights that are not finite.
    """
    flat: dict[LeafPath, np.ndarray] = {path: np.asarray(leaf) for path, leaf in flatten(variables).items()}
    # oneDNN's ReLU makes zero of NaN: the predictions of a net that has diverged would look like any others.
    broken = [path_name(path) for path, leaf in sorted(flat.items()) if not np.isfinite(leaf.astype(np.float64)).all()]
    if broken:
        more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        raise JaxnextError(f"expected finite weights, found NaN or infinity in {broken[0]}{more}")
    shapes, norms = _traced(model)
    if problems := differences(shapes, flat):
        raise JaxnextError("the weights do not fit this network:\n  " + "\n  ".join(problems))
    for norm, (layer, eps) in norms.items():
        _fold_one(flat, norm, layer, eps)
    return unflatten(flat)


def folded_shapes(model: Classifier) -> Variables:
    """Return shapes and dtypes of what ``fold`` gives, as ``variable_shapes`` does."""
    flat, norms = _traced(model)
    for norm in norms:
        _drop(flat, norm)
    return unflatten(flat)


def _traced(model: Classifier) -> tuple[dict[LeafPath, Any], dict[LeafPath, tuple[LeafPath, float]]]:
    """Return the shapes of a network's variables, and for each norm that can be folded its layer's path and its eps."""
    calls: Counter[LeafPath] = Counter()
    modules: dict[str, Any] = {}

    def named(x: jax.Array, module: Any) -> jax.Array:
        name = path_name(module.path)
        modules[name] = module
        return checkpoint_name(x, name)

    def note(call: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        module = context.module
        if context.method_name == "__call__" and isinstance(module, Conv | Dense | BatchNorm):
            calls[module.path] += 1
            if isinstance(module, Conv | Dense):
                return named(call(*args, **kwargs), module)
            if args:
                return call(named(args[0], module), *args[1:], **kwargs)
        return call(*args, **kwargs)

    def run(key: jax.Array, images: jax.Array) -> Any:
        with nn.intercept_methods(note):
            return model.init_with_output(key, images, train=False)

    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    closed, (_, shapes) = jax.make_jaxpr(run, return_shape=True)(jax.random.key(0), images)
    jaxpr, flat = closed.jaxpr, flatten(shapes)
    reads = Counter(id(value) for value in [*jaxpr.outvars, *(v for equation in jaxpr.eqns for v in equation.invars)])
    named_by: dict[int, Any] = {}
    norms = {}
    for equation in jaxpr.eqns:
        module = modules.get(equation.params["name"]) if equation.primitive.name == "name" else None
        if module is None:
            continue
        (value,), (result,) = equation.invars, equation.outvars
        layer = named_by.get(id(value))
        named_by[id(result)] = module
        if layer is None or isinstance(layer, BatchNorm) or not isinstance(module, BatchNorm):
            continue
        kernel, scale = (flat.get(("params", *path)) for path in ((*layer.path, "kernel"), (*module.path, "scale")))
        # Not where flax.linen.vmap or scan has given both a leading axis.
        whole = kernel is not None and scale is not None and kernel.shape[-1:] == scale.shape
        if whole and reads[id(value)] == calls[layer.path] == calls[module.path] == 1:
            norms[module.path] = (layer.path, module.eps)
    return flat, norms


def _fold_one(flat: dict[LeafPath, np.ndarray], norm: LeafPath, layer: LeafPath, eps: float) -> None:
    """Take scale and statistics of a norm out of ``flat`` and put them into its layer's leaves and its own bias."""
    scale, bias = ("params", *norm, "scale"), ("params", *norm, "bias")
    mean, var = (flat["batch_stats", *norm, name] for name in ("mean", "var"))
    factor = flat[scale] / np.sqrt(var.astype(np.float64) + eps)
    for path in (("params", *layer, name) for name in ("kernel", "bias")):
        if path in flat:
            # Output channels are the last axis of kernels and biases alike.
            flat[path] = (flat[path] * factor).astype(flat[path].dtype)
    flat[bias] = (flat[bias] - mean * factor).astype(flat[bias].dtype)
    _drop(flat, norm)


def _drop(flat: dict[LeafPath, Any], norm: LeafPath) -> None:
    for path in (("params", *norm, "scale"), *(("batch_stats", *norm, name) for name in STATISTICS)):
        del flat[path]
