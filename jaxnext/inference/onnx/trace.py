"""The net as a program of plain operations: the trace that is translated."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnext.errors import JaxnextError, one_line
from jaxnext.inference.onnx.graph import BATCH
from jaxnext.models.classifier import Classifier
from jaxnext.models.layers import Conv
from jaxnext.ops.cpu.onednn import Padding
from jaxnext.ops.fused_conv import conv, fused_conv
from jaxnext.ops.relu import relu as rectified
from jaxnext.tree import flatten, path_name, unflatten
from jaxnext.types import Variables


class Program(NamedTuple):
    """A net's forward pass."""

    jaxpr: Any
    """closed, of a function of the leaves and the images"""
    leaves: dict[str, np.ndarray]
    """the variables by path without the collection, in the order of the jaxpr's first arguments"""

    @property
    def images(self) -> tuple[Any, ...]:
        """Shape of the jaxpr's last argument, ``[N, H, W, 3]``."""
        return self.jaxpr.in_avals[-1].shape


def trace(model: Classifier, variables: Variables, size: tuple[int, int]) -> Program:
    """Trace a net in evaluation, in float32 whatever it was trained in, for any number of images.

    Args:
        model: the network.
        variables: folded, NumPy arrays.
        size: height and width of the images.

    Raises:
        JaxnextError: it cannot be traced without knowing the number of images.
    """
    model = model.clone(dtype=jnp.dtype("float32"))
    flat = {
        path: np.asarray(leaf, np.float32 if jnp.issubdtype(leaf.dtype, jnp.floating) else None)
        for path, leaf in flatten(variables).items()
    }
    (batch,) = jax.export.symbolic_shape(BATCH)
    images = jax.ShapeDtypeStruct((batch, *size, 3), jnp.float32)

    def run(leaves: Sequence[jax.Array], images: jax.Array) -> Any:
        with nn.intercept_methods(_plainly):
            return model.apply(unflatten(dict(zip(flat, leaves, strict=True))), images, train=False)

    try:
        jaxpr = jax.make_jaxpr(run)(list(flat.values()), images)
    except JaxnextError:
        raise
    except Exception as error:
        raise JaxnextError(
            f"the net cannot be traced without knowing the number of images: {type(error).__name__}: {one_line(error)}"
        ) from error
    return Program(jaxpr, {path_name(path[1:]): leaf for path, leaf in flat.items()})


def _plainly(call: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
    """Have convolutions written as one operation, without the choice among machines that they otherwise leave."""
    if context.method_name == "__call__" and isinstance(context.module, Conv):
        x, convolve = (*args, conv)[:2]
        if convolve is conv:
            return call(x, _convolve)
        if isinstance(convolve, functools.partial) and convolve.func is fused_conv and not convolve.args:
            return call(x, functools.partial(_convolve, **convolve.keywords))
    return call(*args, **kwargs)


def _convolve(
    x: jax.Array,
    kernel: jax.Array,
    *,
    stride: int,
    padding: Padding,
    groups: int,
    bias: jax.Array | None = None,
    residual: jax.Array | None = None,
    relu: bool = False,
) -> jax.Array:
    """Compute what ``fused_conv`` does, by XLA's operation for it."""
    axes = ("NHWC", "HWIO", "NHWC")
    y = lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=axes, feature_group_count=groups
    )
    if bias is not None:
        y = y + bias[None, None, None, :]
    if residual is not None:
        y = y + residual
    return rectified(y) if relu else y
