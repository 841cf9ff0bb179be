"""Parts of arrays: the same in onnxruntime as in JAX."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import pytest
from jax import lax
from onnx_programs import IMAGES, assert_same, computed

from jaxnext.errors import JaxnextError

PARTS: dict[str, tuple[Callable[[Any], Any], dict[str, int]]] = {
    "a range and steps": (lambda x: x[:, 1:3, ::2], {"Slice": 2, "Transpose": 1}),
    "backwards": (lambda x: x[:, :, ::-1], {"Slice": 1, "Transpose": 1}),
    "one place": (lambda x: x[:, 2, 3], {"Slice": 2, "Squeeze": 1}),
    "the last channels": (lambda x: x[..., -2:], {"Slice": 1, "Transpose": 1}),
    "places in another order": (lambda x: x[:, :, jnp.array([4, 1, 5])], {"Gather": 1, "Transpose": 1}),
    "of two axes": (
        lambda x: x[:, jnp.array([[0], [3]]), jnp.array([1, 4, 2])],
        {"Slice": 1, "Gather": 1, "Transpose": 1},
    ),
    "at a place": (lambda x: lax.dynamic_slice_in_dim(x, 3, 2, 1), {"Slice": 1, "Transpose": 1}),
    "split": (lambda x: x[:, :2] * jnp.split(x, 2, 1)[1], {"Slice": 2, "Mul": 1, "Transpose": 1}),
    "a margin": (
        lambda x: jnp.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0)), constant_values=2.0),
        {"Pad": 1, "Transpose": 1},
    ),
}


@pytest.mark.slow
def test_as_jax() -> None:
    assert_same(PARTS, IMAGES)


@pytest.mark.parametrize(
    ("function", "found"),
    [
        (lambda x: x[:, jnp.arange(3), :, jnp.arange(3)], "indexing by several lists of places"),
        (lambda x: x.sum((1, 2))[:, x[0, 0, 0].astype(int)], "places that depend on the images"),
        (lambda x: lax.pad(x, 0.0, [(0, 0, 0), (0, 0, 1), (0, 0, 0), (0, 0, 0)]), "padding between values"),
    ],
)
def test_refused(function: Callable[[Any], Any], found: str) -> None:
    with pytest.raises(JaxnextError) as error:
        computed(function)
    assert str(error.value) == f"the net: expected operations that can be written in ONNX, found {found}"
