import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from tolerances import FLOAT32_OPERATION, FLOAT64_OPERATION

from jaxnext.ops.cpu import onednn
from jaxnext.ops.fused_conv import conv, fused_conv

NONE = ((0, 0), (0, 0))
needs_onednn = pytest.mark.skipif(not onednn.is_available(), reason="this jaxlib is not known to have oneDNN")


def reference(x, kernel, bias, residual, relu, stride, padding, groups):
    y = lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
        precision="highest",
    )
    y = y + bias[None, None, None] + (0 if residual is None else residual)
    return jnp.maximum(y, 0) if relu else y


def test_by_hand() -> None:
    x = jnp.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 1, 2)
    kernel = jnp.array([[1.0, -10.0], [2.0, 20.0]]).reshape(1, 1, 2, 2)
    bias, residual = jnp.array([0.5, -31.0]), jnp.array([[10.0, 0.0], [-12.0, 1.0]]).reshape(1, 2, 1, 2)
    options = {"stride": 1, "padding": NONE, "groups": 1}
    assert conv(x, kernel, **options)[0, :, 0].tolist() == [[5, 30], [11, 50]]
    assert fused_conv(x, kernel, bias, **options)[0, :, 0].tolist() == [[5.5, -1], [11.5, 19]]
    assert fused_conv(x, kernel, bias, relu=True, **options)[0, :, 0].tolist() == [[5.5, 0], [11.5, 19]]
    found = fused_conv(x, kernel, bias, residual=residual, relu=True, **options)
    assert found[0, :, 0].tolist() == [[15.5, 0], [0, 20]]


def test_a_strided_1x1_convolution_takes_every_other_place() -> None:
    x = jnp.arange(9.0).reshape(1, 3, 3, 1)
    found = conv(x, jnp.full((1, 1, 1, 1), 2.0), stride=2, padding=NONE, groups=1)
    assert found[0, :, :, 0].tolist() == [[0, 4], [12, 16]]


def case(draw):
    groups, stride, size = (
        draw(st.sampled_from([1, 2, 4])),
        draw(st.sampled_from([1, 2])),
        draw(st.sampled_from([1, 3])),
    )
    per_group, features = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    low, high = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.normal(size=(draw(st.integers(1, 3)), draw(st.integers(3, 6)), draw(st.integers(3, 6)), per_group * groups))
    kernel = rng.normal(size=(size, size, per_group, features * groups))
    padding = ((low, high), (high, low))
    height, width = ((x.shape[axis] + low + high - size) // stride + 1 for axis in (1, 2))
    residual = rng.normal(size=(x.shape[0], height, width, features * groups)) if draw(st.booleans()) else None
    return x, kernel, rng.normal(size=features * groups), residual, draw(st.booleans()), stride, padding, groups


CASES = st.composite(case)()


def both(x, kernel, bias, residual, relu, stride, padding, groups, dtype):
    arrays = [None if array is None else jnp.asarray(array, dtype) for array in (x, kernel, bias, residual)]

    def fused(x, kernel, bias, residual):
        options = {"stride": stride, "padding": padding, "groups": groups}
        return fused_conv(x, kernel, bias, residual=residual, relu=relu, **options)

    found = jax.jit(fused)(*arrays)
    assert found.dtype == dtype
    return found, reference(*arrays, relu, stride, padding, groups)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(CASES)
def test_it_equals_its_parts_in_float64(values) -> None:
    with jax.enable_x64(True):
        found, expected = both(*values, jnp.float64)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= FLOAT64_OPERATION * max(np.abs(expected).max(), 1)


@pytest.mark.slow
@needs_onednn
@pytest.mark.usefixtures("onednn_calls")
def test_it_equals_its_parts_by_onednn_in_float32() -> None:
    @settings(max_examples=20, deadline=None)
    @given(CASES)
    def equal(values) -> None:
        found, expected = both(*values, jnp.float32)
        assert np.abs(found - expected).max() <= FLOAT32_OPERATION * max(np.abs(expected).max(), 1)

    equal()


@needs_onednn
@pytest.mark.usefixtures("onednn_calls")
def test_on_a_cpu_it_is_one_call_and_has_the_gradients_of_its_parts() -> None:
    rng = np.random.default_rng(0)
    x, kernel, bias, residual = (
        jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((2, 4, 4, 6), (3, 3, 3, 4), (4,), (2, 4, 4, 4))
    )
    around = ((1, 1), (1, 1))

    def fused(x, kernel, bias, residual):
        return fused_conv(x, kernel, bias, stride=1, padding=around, groups=2, residual=residual, relu=True)

    def parts(x, kernel, bias, residual):
        return reference(x, kernel, bias, residual, True, 1, around, 2)

    text = jax.jit(fused).trace(x, kernel, bias, residual).lower(lowering_platforms=("cpu",)).as_text()
    assert text.count("@__onednn$convolution") == 1
    assert "stablehlo.add" not in text
    arguments = (x, kernel, bias, residual)
    gradients, expected = (
        jax.jit(jax.grad(lambda *args, f=f: (f(*args) ** 2).sum(), (0, 1, 2, 3)))(*arguments) for f in (fused, parts)
    )
    for gradient, right in zip(gradients, expected, strict=True):
        assert np.abs(gradient - right).max() <= FLOAT32_OPERATION * np.abs(right).max()


@pytest.mark.usefixtures("onednn_calls")
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float64])
def test_other_dtypes_are_computed_in_parts(dtype) -> None:
    with jax.enable_x64(True):
        x, kernel, bias = jnp.ones((1, 2, 2, 1), dtype), jnp.full((1, 1, 1, 1), 2, dtype), jnp.ones(1, dtype)
        found = fused_conv(x, kernel, bias, stride=1, padding=NONE, groups=1)
    assert found.dtype == dtype
    assert found.ravel().tolist() == [3] * 4


@pytest.mark.usefixtures("onednn_calls")
def test_an_empty_batch() -> None:
    found = fused_conv(jnp.ones((0, 2, 2, 1)), jnp.ones((1, 1, 1, 3)), jnp.ones(3), stride=1, padding=NONE, groups=1)
    assert found.shape == (0, 2, 2, 3)
