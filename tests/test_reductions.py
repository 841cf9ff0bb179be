"""Sums, maxima and pools: the same in onnxruntime as in JAX."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import pytest
from jax import lax
from onnx_programs import IMAGES, assert_same, computed

from jaxnext.errors import JaxnextError
from jaxnext.ops.pooling import max_pool

REDUCED: dict[str, tuple[Callable[[Any], Any], dict[str, int]]] = {
    "mean of each channel": (lambda x: x.mean((1, 2)), {"ReduceMean": 1}),
    "mean over the channels, kept": (
        lambda x: x.mean(-1, keepdims=True) * x,
        {"ReduceMean": 1, "Mul": 1, "Transpose": 1},
    ),
    "a sum that is no mean": (lambda x: x.sum((1, 2)) / 23, {"ReduceSum": 1, "Div": 1}),
    "columns": (lambda x: x.sum(1) + x.min(1), {"ReduceSum": 1, "ReduceMin": 1, "Add": 1, "Transpose": 1}),
    "product": (lambda x: x.prod((1, 3)), {"ReduceProd": 1}),
    "place of the largest": (
        lambda x: (x.argmax(-1) + 10 * x.argmin(3)).astype(jnp.float32),
        {"ArgMax": 1, "ArgMin": 1, "Cast": 3, "Mul": 1, "Add": 1},
    ),
    "running sum": (lambda x: jnp.cumsum(x, 1), {"CumSum": 1, "Transpose": 1}),
    "the net's own pool": (max_pool, {"MaxPool": 1, "Transpose": 1}),
    "maxima of windows": (lambda x: nn.max_pool(x, (2, 3), (2, 1), "SAME"), {"MaxPool": 1, "Transpose": 1}),
    "means of windows": (lambda x: nn.avg_pool(x, (3, 2), (1, 2), "SAME"), {"AveragePool": 1, "Transpose": 1}),
    "generalised mean": (
        lambda x: (jnp.maximum(x, 1e-6) ** 3).mean((1, 2)) ** (1 / 3),
        {"Max": 1, "Pow": 2, "ReduceMean": 1},
    ),
}


def test_as_jax() -> None:
    assert_same(REDUCED, IMAGES)


def test_windows_over_channels_are_refused() -> None:
    with pytest.raises(JaxnextError, match="found windows over other axes than height and width"):
        computed(lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 1, 2), (1, 1, 1, 1), "VALID"))
