"""Operations that take values one by one compute in onnxruntime what they do in JAX."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from onnx_programs import IMAGES, assert_same, computed

VECTORS = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "powers": lambda x: x**2 + x**3 + jnp.abs(x) ** 0.3 + jnp.exp2(x),
    "roots": lambda x: jnp.sqrt(jnp.abs(x)) + lax.rsqrt(jnp.abs(x) + 1),
    "errors": lambda x: lax.erf(x) + 2 * lax.erfc(x),
    "near zero": lambda x: jnp.log1p(jnp.abs(x)) + jnp.expm1(x),
    "remainder": lambda x: lax.rem(x, 0.3 * jnp.ones_like(x)),
    "bounds": lambda x: jnp.clip(x, -0.3, 0.4) + jnp.minimum(x, 0.1) + jnp.maximum(x, 0.2),
    "whole": lambda x: jnp.floor(x) + 2 * jnp.ceil(x) + jnp.sign(x) + jnp.round(x),
    "logic": lambda x: jnp.where(((x > 0) & ~(x > 0.5)) | (x < -1), x, 1.0) + jnp.where(jnp.isfinite(x), x, 0),
    "compared": lambda x: (x >= 0).astype(jnp.float32) + (x != x[:, :1]) + 2 * (x == x[:, :1]) + (x <= x[:, 1:2]),
    "whole numbers": lambda x: (x * 3).astype(jnp.int32).astype(jnp.float32),
    "activations": lambda x: nn.hard_swish(x) + nn.gelu(x) + nn.gelu(x, approximate=False) + nn.elu(x) + nn.softplus(x),
}


@pytest.mark.slow
def test_as_jax() -> None:
    assert_same({name: (function, None) for name, function in FUNCTIONS.items()}, VECTORS)


def test_numbers_of_nodes() -> None:
    scale = np.array([1, -2, 3], np.float32)
    functions: dict[str, tuple[Callable[[Any], Any], dict[str, int]]] = {
        "images and a vector for each channel": (
            lambda x: (x * scale[None, None, None, :] + 1) * x.mean((1, 2))[:, None, None, :],
            {"Mul": 2, "Add": 1, "ReduceMean": 1, "Transpose": 1},
        ),
        "maximum": (lambda x: jnp.maximum(x, 0).sum((1, 2)), {"Relu": 1, "ReduceSum": 1}),
        "relu": (lambda x: nn.relu(x).sum((1, 2)), {"Relu": 1, "ReduceSum": 1}),
        "not above zero": (lambda x: jnp.where(x <= 0, 0.0, x).sum((1, 2)), {"Relu": 1, "ReduceSum": 1}),
        "another bound": (lambda x: jnp.maximum(x, 0.5).sum((1, 2)), {"Max": 1, "ReduceSum": 1}),
        "another value": (
            lambda x: jnp.where(x <= 0, 0.0, x * 2).sum((1, 2)),
            {"LessOrEqual": 1, "Mul": 1, "Where": 1, "ReduceSum": 1},
        ),
    }
    assert_same(functions, IMAGES)


def test_rounding_that_onnx_does_not_have() -> None:
    with pytest.raises(Exception, match="found rounding of halves away from zero"):
        computed(lambda x: lax.round(x, lax.RoundingMethod.AWAY_FROM_ZERO), VECTORS)
