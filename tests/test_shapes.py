"""Values that are moved: the same in onnxruntime as in JAX, and with how few nodes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from onnx_programs import IMAGES, assert_same

KERNEL = np.random.default_rng(2).normal(size=(3, 3, 3, 4)).astype(np.float32)


def convolved(x: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(x, KERNEL, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


# The images come and go with channels second, and JAX's result has them last: one Transpose is the test's own.
MOVED: dict[str, tuple[Callable[[Any], Any], dict[str, int]]] = {
    "transposed": (lambda x: x.transpose(0, 2, 1, 3), {"Transpose": 1}),
    "transposed before a convolution": (lambda x: convolved(x.transpose(0, 2, 1, 3)), {"Transpose": 2, "Conv": 1}),
    "places in one row": (lambda x: x.reshape(x.shape[0], -1, 3), {"Reshape": 1, "Transpose": 1}),
    "and back": (
        lambda x: (x.reshape(x.shape[0], -1, 3) * 2).reshape(x.shape),
        {"Reshape": 2, "Mul": 1, "Transpose": 1},
    ),
    "all in one row": (lambda x: x.reshape(x.shape[0], -1), {"Transpose": 1, "Reshape": 1}),
    "channels split": (lambda x: x.reshape(*x.shape[:3], 3, 1), {"Unsqueeze": 1, "Transpose": 1}),
    "joined along the channels": (lambda x: jnp.concatenate([x, 2 * x], -1), {"Mul": 1, "Concat": 1, "Transpose": 1}),
    "stacked": (
        lambda x: convolved(jnp.stack([x.mean(-1), x.max(-1), x.min(-1)], -1)),
        {"ReduceMean": 1, "ReduceMax": 1, "ReduceMin": 1, "Concat": 1, "Conv": 1, "Transpose": 1},
    ),
    "repeated": (lambda x: jnp.repeat(x, 2, 1), {"Unsqueeze": 1, "Expand": 1, "Reshape": 1, "Transpose": 1}),
    "tiled": (lambda x: jnp.tile(x, (1, 1, 2, 1)), {"Tile": 1, "Transpose": 1}),
    "stretched, and counted": (
        lambda x: jnp.broadcast_to(x.mean(-1, keepdims=True), x.shape).sum(-1),
        {"ReduceMean": 1, "Expand": 1, "ReduceSum": 1},
    ),
    "a constant as often as there are images": (
        lambda x: jnp.concatenate([jnp.broadcast_to(KERNEL[0, :1, :, 0], (x.shape[0], 3)), x.mean((1, 2))], 1),
        {"ReduceMean": 1, "Shape": 1, "Concat": 2, "Expand": 1},
    ),
    "the number of images as a number": (
        lambda x: x.mean((1, 2)) * x.shape[0],
        {"ReduceMean": 1, "Shape": 1, "Squeeze": 1, "Cast": 2, "Mul": 1},
    ),
}


def test_as_jax() -> None:
    assert_same(MOVED, IMAGES)


def test_any_number_of_images() -> None:
    name = "a constant as often as there are images"
    assert_same({name: MOVED[name]}, np.concatenate([IMAGES, IMAGES + 1, IMAGES]))
