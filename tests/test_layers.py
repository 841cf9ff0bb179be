import functools
import math
import re
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import BFLOAT16_OPERATION

from jaxnext.models.layers import Conv, Dense, conv_norm, uniform_fan_in
from jaxnext.models.norm import BatchNorm

KEY = jax.random.key(0)


def apply(module: nn.Module, x: jax.Array, **params: jax.Array) -> jax.Array:
    return module.apply({"params": params}, x)


# ---- convolution ----


@pytest.mark.parametrize(
    ("size", "groups", "shape", "deviation"),
    [
        (3, 4, (3, 3, 16, 256), math.sqrt(2 / (256 * 9))),  # fan-out counts the channels of all groups
        (1, 1, (1, 1, 64, 256), math.sqrt(2 / 256)),
        (7, 1, (7, 7, 64, 256), math.sqrt(2 / (256 * 49))),
    ],
)
def test_kernels_are_kaiming_normal_over_fan_out(
    size: int, groups: int, shape: tuple[int, ...], deviation: float
) -> None:
    variables = Conv(256, size, groups=groups).init(KEY, jnp.zeros((1, 8, 8, 64)))
    (kernel,) = jax.tree.leaves(variables)
    assert (kernel.shape, kernel.dtype) == (shape, jnp.float32)
    assert abs(kernel.mean()) < 0.03 * deviation
    assert abs(kernel.std() / deviation - 1) < 0.03
    # Normal: 4.55 percent beyond two deviations. Uniform has none, and a truncated one has none, either.
    assert abs((jnp.abs(kernel) > 2 * deviation).mean() - 0.0455) < 0.007


def test_another_initialisation_and_dtype_may_be_given() -> None:
    with jax.enable_x64(True):
        module = Conv(1, 7, kernel_init=nn.initializers.constant(3.0), param_dtype=jnp.dtype("float64"))
        kernel = module.init(KEY, jnp.zeros((1, 8, 8, 2)))["params"]["kernel"]
        assert (kernel.shape, kernel.dtype) == ((7, 7, 2, 1), jnp.float64)
        assert kernel.min() == kernel.max() == 3


def test_stride_two_is_padded_on_both_sides() -> None:
    # 'SAME' would pad behind alone and give [[9, 6], [6, 4]].
    y = apply(Conv(1, 3, 2), jnp.ones((1, 4, 4, 1)), kernel=jnp.ones((3, 3, 1, 1)))
    assert y[0, :, :, 0].tolist() == [[4, 6], [6, 9]]


def test_the_stem_is_padded_by_three() -> None:
    # Columns -3..3, -1..5 and 1..7 of 0..5.
    y = apply(Conv(1, 7, 2), jnp.ones((1, 6, 6, 1)), kernel=jnp.ones((7, 7, 1, 1)))
    assert y[0, :, :, 0].tolist() == [[16, 24, 20], [24, 36, 30], [20, 30, 25]]


def test_groups_and_stride_together() -> None:
    x = jnp.stack([jnp.ones((4, 4)), jnp.full((4, 4), 10.0)], -1)[None]
    y = apply(Conv(2, 3, 2, 2), x, kernel=jnp.ones((3, 3, 1, 2)))
    assert y[0, :, :, 0].tolist() == [[4, 6], [6, 9]]
    assert y[0, :, :, 1].tolist() == [[40, 60], [60, 90]]


@pytest.mark.parametrize(("side", "rows"), [(4, [0, 2]), (5, [0, 2, 4])])
def test_one_by_one_at_stride_two_takes_every_other_pixel(side: int, rows: list[int]) -> None:
    x = jnp.arange(side * side * 2.0).reshape(1, side, side, 2)
    y = apply(Conv(1, 1, 2), x, kernel=jnp.array([1.0, 1000.0]).reshape(1, 1, 2, 1))
    expected = [[2 * (side * i + j) + 1000 * (2 * (side * i + j) + 1) for j in rows] for i in rows]
    assert y[0, :, :, 0].tolist() == expected


@pytest.mark.parametrize("size", [1, 3])
def test_convolution_computes_in_the_dtype_of_its_input(size: int) -> None:
    x = jnp.ones((1, 4, 4, 2), jnp.bfloat16)
    variables = Conv(3, size).init(KEY, x)
    assert variables["params"]["kernel"].dtype == jnp.float32
    assert Conv(3, size).apply(variables, x).dtype == jnp.bfloat16


# ---- dense ----


def test_dense_by_hand() -> None:
    kernel, bias = jnp.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]), jnp.array([0.5, 0.0, -0.5])
    x = jnp.array([[1.0, 1.0], [2.0, 0.0]])
    assert apply(Dense(3), x, kernel=kernel, bias=bias).tolist() == [[11.5, 22, 32.5], [2.5, 4, 5.5]]
    assert apply(Dense(3, use_bias=False), x, kernel=kernel).tolist() == [[11, 22, 33], [2, 4, 6]]


def test_weights_and_biases_are_uniform_in_one_over_the_root_of_fan_in() -> None:
    params = Dense(4000).init(KEY, jnp.zeros((1, 64)))["params"]
    assert {name: leaf.shape for name, leaf in params.items()} == {"kernel": (64, 4000), "bias": (4000,)}
    for leaf in params.values():
        assert 0.124 < jnp.abs(leaf).max() <= 0.125
        assert abs(leaf.mean()) < 0.004
        assert abs(leaf.std() * math.sqrt(3) / 0.125 - 1) < 0.03


def test_without_bias_there_is_none() -> None:
    assert list(Dense(4, use_bias=False).init(KEY, jnp.zeros((1, 64)))["params"]) == ["kernel"]


def test_uniform_in_float64() -> None:
    with jax.enable_x64(True):
        values = uniform_fan_in(4)(KEY, (1000,), jnp.float64)
        assert values.dtype == jnp.float64
        assert 0.49 < np.abs(values).max() <= 0.5


def test_dense_computes_in_the_dtype_of_its_input() -> None:
    x = jnp.ones((2, 4), jnp.bfloat16)
    variables = Dense(3).init(KEY, x)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(variables)} == {"float32"}
    assert Dense(3).apply(variables, x).dtype == jnp.bfloat16


class Joined(nn.Module):
    """A convolution and its norm, as a block calls them."""

    size: int
    stride: int = 1
    fused: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, mask: jax.Array, residual: jax.Array | None) -> jax.Array:
        parts = Conv(8, self.size, self.stride, name="conv"), BatchNorm(name="norm")
        return conv_norm(*parts, x, train=train, mask=mask, residual=residual, fused=self.fused)


@pytest.mark.parametrize(
    ("module", "dtype", "train", "used"),
    [
        (Joined(1), "bfloat16", True, "pointwise_norm"),
        (Joined(1, stride=2), "bfloat16", True, "pointwise_norm"),
        (Joined(1), "float32", True, "norm_act"),
        (Joined(3), "bfloat16", True, "norm_act"),
        (Joined(1, fused=False), "bfloat16", True, "batch_norm"),
        (Joined(1), "bfloat16", False, None),
    ],
)
def test_what_a_convolution_and_its_norm_are_together(module: nn.Module, dtype: str, train: bool, used: Any) -> None:
    x, mask = jnp.ones((4, 6, 6, 4), dtype), jnp.ones(4, bool)
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), x, True, mask, None))
    call = functools.partial(module.apply, mutable=["batch_stats"])
    text = str(jax.make_jaxpr(call, static_argnums=2)(variables, x, train, mask, None))
    assert re.findall(r"name=(pointwise_norm|norm_act|batch_norm)\b", text) == ([used] if used else [])


@pytest.mark.parametrize("stride", [1, 2])
def test_at_once_it_is_what_the_parts_are(stride: int) -> None:
    rng = np.random.default_rng(0)
    rows = -(-6 // stride)
    x, residual = (jnp.asarray(rng.normal(size=(4, n, n, c)), "bfloat16") for n, c in ((6, 4), (rows, 8)))
    mask, given = jnp.array([True, True, False, True]), residual if stride == 1 else None
    x = jnp.where(mask[:, None, None, None], x, 0) if stride == 1 else x

    def run(fused: bool) -> Any:
        module = Joined(1, stride, fused)
        variables = module.init(jax.random.key(0), x, True, mask, given)
        y, updated = module.apply(variables, x, True, mask, given, mutable=["batch_stats"])
        return y.astype(jnp.float32)[np.array(mask)], updated["batch_stats"]["norm"]

    (y, stats), (right, expected) = jax.jit(run, static_argnums=0)(True), jax.jit(run, static_argnums=0)(False)
    np.testing.assert_allclose(y, right, atol=BFLOAT16_OPERATION * float(np.abs(right).max()))
    for name in ("mean", "var"):
        np.testing.assert_allclose(stats[name], expected[name], atol=BFLOAT16_OPERATION)
