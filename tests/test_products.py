"""Convolutions and matrix products: the same in onnxruntime as in JAX, each one node."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from onnx_programs import IMAGES, assert_same, computed

from jaxnext.errors import JaxnextError

DRAW = np.random.default_rng(3)
KERNEL = DRAW.normal(size=(3, 3, 1, 6)).astype(np.float32)
MATRIX = DRAW.normal(size=(3, 4)).astype(np.float32)


def convolved(x: jax.Array, **options: Any) -> jax.Array:
    return lax.conv_general_dilated(x, KERNEL, dimension_numbers=("NHWC", "HWIO", "NHWC"), **options)


PRODUCTS: dict[str, tuple[Callable[[Any], Any], dict[str, int]]] = {
    "grouped, with a bias": (
        lambda x: convolved(x, window_strides=(2, 1), padding=((1, 0), (2, 1)), feature_group_count=3) + KERNEL[:1, :1],
        {"Conv": 1, "Transpose": 1},
    ),
    "dilated": (
        lambda x: convolved(x, window_strides=(1, 1), padding="SAME", feature_group_count=3, rhs_dilation=(2, 1)),
        {"Conv": 1, "Transpose": 1},
    ),
    "of each place": (lambda x: x @ MATRIX, {"Conv": 1, "Transpose": 1}),
    "of every second place, with a bias": (lambda x: x[:, ::2, ::2] @ MATRIX + 1, {"Conv": 1, "Transpose": 1}),
    "dense": (lambda x: x.mean((1, 2)) @ MATRIX + MATRIX[:1], {"ReduceMean": 1, "Gemm": 1}),
    "of a place with every other": (
        lambda x: (lambda rows: jnp.einsum("nic,njc->nij", rows, rows))(x.reshape(x.shape[0], -1, 3)),
        {"Reshape": 1, "Einsum": 1},
    ),
}


def test_as_jax() -> None:
    assert_same(PRODUCTS, IMAGES)


def test_refused() -> None:
    with pytest.raises(JaxnextError, match="found a transposed convolution"):
        computed(lambda x: lax.conv_transpose(x, np.ones((2, 2, 3, 1), np.float32), (2, 2), "VALID"), IMAGES)
