import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from jax.sharding import Mesh, PartitionSpec
from torch_ported import to_numpy, to_torch
from torch_reference import require

from jaxnext.ops.pooling import Formulation, first_of, max_pool, maximum

NAN = float("nan")
SIZES = ((1, 1), (2, 3), (4, 4), (5, 6), (7, 7))


@functools.partial(jax.jit, static_argnums=2)
def pool_and_gradient(
    x: jax.Array, cotangent: jax.Array, formulation: Formulation | None = None
) -> tuple[jax.Array, jax.Array]:
    y, pullback = jax.vjp(lambda x: max_pool(x, formulation), x)
    return y, pullback(cotangent)[0]


def by_hand(x: np.ndarray, cotangent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One window after the other: the first maximum in row-major order, or else the last NaN, as PyTorch has it."""
    y, gradient = np.empty_like(cotangent), np.zeros_like(x)
    for n, i, j, c in np.ndindex(*y.shape):
        best, place = -np.inf, (0, 0)
        for row in range(max(2 * i - 1, 0), min(2 * i + 2, x.shape[1])):
            for column in range(max(2 * j - 1, 0), min(2 * j + 2, x.shape[2])):
                if x[n, row, column, c] > best or np.isnan(x[n, row, column, c]):
                    best, place = x[n, row, column, c], (row, column)
        y[n, i, j, c] = best
        gradient[n, *place, c] += cotangent[n, i, j, c]
    return y, gradient


def counting(shape: tuple[int, ...]) -> np.ndarray:
    """A different whole number for every window: sums of them are exact in any order."""
    return np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)


def test_even_size_by_hand() -> None:
    x = jnp.array([[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]], jnp.float32)
    y, gradient = pool_and_gradient(x.reshape(1, 4, 4, 1), jnp.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1))
    assert y[0, :, :, 0].tolist() == [[6, 8], [14, 16]]
    assert gradient[0, :, :, 0].tolist() == [[0, 0, 0, 0], [0, 1, 0, 2], [0, 0, 0, 0], [0, 3, 0, 4]]


def test_odd_size_and_negative_values_by_hand() -> None:
    x = jnp.array([[-1, -5, -2], [-6, -9, -7], [-3, -8, -4]], jnp.float32).reshape(1, 3, 3, 1)
    y, gradient = pool_and_gradient(x, jnp.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1))
    assert y[0, :, :, 0].tolist() == [[-1, -2], [-3, -4]]
    assert gradient[0, :, :, 0].tolist() == [[1, 0, 2], [0, 0, 0], [3, 0, 4]]


def test_ties_give_the_gradient_to_the_first_in_row_major_order() -> None:
    x = jnp.array([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 5], [0, 5, 0, 0]], jnp.float32).reshape(1, 4, 4, 1)
    _, gradient = pool_and_gradient(x, jnp.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1))
    # The last window has its maximum 5 twice: in row 2, column 3 and in row 3, column 1. The upper row is the first.
    assert gradient[0, :, :, 0].tolist() == [[1, 2, 0, 0], [0, 0, 0, 0], [0, 0, 0, 4], [0, 3, 0, 0]]


def test_nan_fills_every_window_that_it_is_in() -> None:
    x = jnp.arange(25.0).reshape(5, 5).at[1, 2].set(NAN).reshape(1, 5, 5, 1)
    y = max_pool(x)[0, :, :, 0]
    assert jnp.isnan(y).tolist() == [[False, True, False], [False, True, False], [False, False, False]]
    assert y[2].tolist() == [21, 23, 24]


# Each of 6, 8, 14 and 16 is the maximum of one window: the second derivative of its cube is six times it.
@pytest.mark.slow
def test_second_derivatives_by_hand() -> None:
    def cubes(x: jax.Array) -> jax.Array:
        return (max_pool(x.reshape(1, 4, 4, 1)) ** 3).sum()

    hessian = jax.jacrev(jax.grad(cubes))(jnp.arange(1.0, 17.0))
    expected = np.zeros((16, 16))
    expected[[5, 7, 13, 15], [5, 7, 13, 15]] = [36, 48, 84, 96]
    assert hessian.tolist() == expected.tolist()


def test_vmap_equals_a_loop() -> None:
    x = np.random.default_rng(0).integers(-2, 3, (3, 2, 5, 6, 2)).astype(np.float32)
    cotangents = np.stack([counting((2, 3, 3, 2)) + n for n in range(3)])
    together = jax.vmap(pool_and_gradient)(x, cotangents)
    for n in range(3):
        for found, expected in zip(together, pool_and_gradient(x[n], cotangents[n]), strict=True):
            np.testing.assert_array_equal(found[n], expected)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.float64])
def test_dtype_stays(dtype: jnp.dtype) -> None:
    with jax.enable_x64(True):
        x = jnp.ones((2, 6, 5, 3), dtype)
        y, gradient = pool_and_gradient(x, jnp.ones((2, 3, 3, 3), dtype))
        assert (y.shape, y.dtype) == ((2, 3, 3, 3), dtype)
        assert (gradient.shape, gradient.dtype) == (x.shape, dtype)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_small_values_with_ties_and_nan(data: st.DataObject) -> None:
    height, width = data.draw(st.sampled_from(SIZES))
    x = data.draw(arrays(np.float32, (1, height, width, 2), elements=st.sampled_from([-1.0, 0.0, 1.0, NAN])))
    cotangent = counting((1, (height + 1) // 2, (width + 1) // 2, 2))
    for found, expected in zip(pool_and_gradient(x, cotangent), by_hand(x, cotangent), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", SIZES)
def test_windows_that_stay_whole_give_the_same(size: tuple[int, int]) -> None:
    with jax.enable_x64(True):
        x = np.random.default_rng(0).integers(-2, 3, (4, *size, 3)).astype(np.float64)
        cotangent = counting((4, (size[0] + 1) // 2, (size[1] + 1) // 2, 3)).astype(np.float64)
        for found, expected in zip(pool_and_gradient(x, cotangent, "windows"), by_hand(x, cotangent), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_whole_windows_propagate_nan() -> None:
    x = jnp.arange(25.0).reshape(5, 5).at[1, 2].set(NAN).reshape(1, 5, 5, 1)
    assert jnp.isnan(max_pool(x, "windows")[0, :, :, 0]).tolist() == [[False, True, False]] * 2 + [[False] * 3]


@pytest.mark.parametrize("devices", [1, 4])
def test_whole_windows_over_devices(devices: int) -> None:
    mesh, split = Mesh(np.array(jax.devices()[:devices]), ("batch",)), PartitionSpec("batch")
    x = np.random.default_rng(0).integers(-2, 3, (4, 6, 6, 2)).astype(np.float32)
    over = jax.shard_map(
        lambda x, dy: pool_and_gradient(x, dy, "windows"), mesh=mesh, in_specs=(split, split), out_specs=split
    )
    for found, expected in zip(over(x, counting((4, 3, 3, 2))), by_hand(x, counting((4, 3, 3, 2))), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_tpu_keeps_windows_whole_and_a_cpu_does_not() -> None:
    def primitives(platform: str) -> str:
        x, y = jax.ShapeDtypeStruct((1, 4, 4, 8), np.float32), jax.ShapeDtypeStruct((1, 2, 2, 8), np.float32)
        return pool_and_gradient.trace(x, y).lower(lowering_platforms=(platform,)).as_text()

    for platform, there in (("tpu", True), ("cpu", False), ("cuda", False)):
        text = primitives(platform)
        assert ("stablehlo.reduce_window" in text, "stablehlo.select_and_scatter" in text) == (there, there)


@pytest.mark.parametrize("size", SIZES)
def test_equals_pytorch(size: tuple[int, int]) -> None:
    torch, _ = require()
    rng = np.random.default_rng(0)
    x = rng.integers(-2, 3, (40, *size, 3)).astype(np.float32)
    x[rng.random(x.shape) < 0.05] = NAN
    tensor = to_torch(x).requires_grad_()
    expected = torch.nn.MaxPool2d(3, 2, 1)(tensor)
    cotangent = counting(to_numpy(expected).shape)
    expected.backward(to_torch(cotangent))
    y, gradient = pool_and_gradient(x, cotangent)
    np.testing.assert_array_equal(y, to_numpy(expected))
    np.testing.assert_array_equal(gradient, to_numpy(tensor.grad))


# ---- maximum over an axis ----


def test_the_gradient_of_a_maximum_goes_to_the_first() -> None:
    x = jnp.array([[1.0, 3.0, 3.0], [2.0, 0.0, 2.0]])
    y, pullback = jax.vjp(lambda x: maximum(x, 1), x)
    assert y.tolist() == [3, 2]
    assert pullback(jnp.array([5.0, 7.0]))[0].tolist() == [[0, 5, 0], [7, 0, 0]]
    y, pullback = jax.vjp(lambda x: maximum(x, 0), x)
    assert y.tolist() == [2, 3, 3]
    assert pullback(jnp.array([5.0, 7.0, 9.0]))[0].tolist() == [[0, 7, 9], [5, 0, 0]]


def test_a_maximum_with_nan_is_nan() -> None:
    y, pullback = jax.vjp(lambda x: maximum(x, 0), jnp.array([1.0, NAN, 2.0], jnp.bfloat16))
    assert jnp.isnan(y)
    assert y.dtype == jnp.bfloat16
    assert pullback(jnp.bfloat16(4))[0].tolist() == [0, 4, 0]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_maximum_equals_pytorch(axis: int) -> None:
    torch, _ = require()
    x = np.random.default_rng(0).integers(-2, 3, (4, 5, 6)).astype(np.float32)
    tensor = torch.from_numpy(x).requires_grad_()
    expected = tensor.max(axis).values
    cotangent = counting(tuple(expected.shape))
    expected.backward(torch.from_numpy(cotangent))
    y, pullback = jax.vjp(lambda x: maximum(x, axis), jnp.asarray(x))
    np.testing.assert_array_equal(y, expected.detach().numpy())
    np.testing.assert_array_equal(pullback(jnp.asarray(cotangent))[0], tensor.grad.numpy())


def test_first_of_several_by_hand() -> None:
    best, place = first_of(
        [jnp.array([1.0, 2.0, NAN, 0.0]), jnp.array([3.0, 2.0, 1.0, NAN]), jnp.array([3.0, 5.0, 2.0, 1.0])]
    )
    np.testing.assert_array_equal(best, [3.0, 5.0, NAN, NAN])
    assert (place.dtype, place.tolist()) == (jnp.uint8, [1, 2, 0, 1])
