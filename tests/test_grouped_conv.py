import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from quick_jit import quick_jit
from tolerances import FLOAT64_OPERATION

from jaxnext.ops.grouped_conv import Formulation, Padding, block_diagonal, grouped_conv

FORMULATIONS: tuple[Formulation | None, ...] = ("native", "packed", None)
ONE = ((1, 1), (1, 1))


def reference(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding, groups: int) -> jax.Array:
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups
    )


def random(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_two_groups_of_two_channels_by_hand(formulation: Formulation | None) -> None:
    x = jnp.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 1, 4)
    kernel = jnp.array([[1.0, 10.0, 100.0, 1000.0], [2.0, 20.0, 200.0, 2000.0]]).reshape(1, 1, 2, 4)
    y = grouped_conv(x, kernel, stride=1, padding=((0, 0), (0, 0)), groups=2, formulation=formulation)
    assert y.ravel().tolist() == [1 + 2 * 2, 10 + 2 * 20, 3 * 100 + 4 * 200, 3 * 1000 + 4 * 2000]


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_padding_before_and_after_by_hand(formulation: Formulation | None) -> None:
    x, kernel = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 1, 2))
    after = grouped_conv(x, kernel, stride=2, padding=((0, 1), (0, 1)), groups=2, formulation=formulation)
    before = grouped_conv(x, kernel, stride=2, padding=((1, 0), (1, 0)), groups=2, formulation=formulation)
    assert after[0, :, :, 1].tolist() == [[9, 6], [6, 4]]
    assert before[0, :, :, 1].tolist() == [[4, 6], [6, 9]]


# Groups of 1 to 40 channels: a block of 32 holds several, one, or less than one; 3 x 5 channels make it uneven.
@settings(max_examples=8, deadline=None)
@given(
    groups=st.sampled_from([1, 3, 8, 16]),
    per_group=st.sampled_from([1, 4, 5, 40]),
    features=st.integers(1, 3),
    size=st.tuples(st.integers(3, 7), st.integers(3, 7)),
    kernel_size=st.sampled_from([1, 2, 3]),
    stride=st.integers(1, 3),
    padding=st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * 2),
)
def test_every_formulation_and_its_gradients_equal_lax(
    groups: int,
    per_group: int,
    features: int,
    size: tuple[int, int],
    kernel_size: int,
    stride: int,
    padding: Padding,
) -> None:
    x = random((2, *size, groups * per_group))
    kernel = random((kernel_size, kernel_size, per_group, groups * features), 1)

    @quick_jit
    def everything(x: jax.Array, kernel: jax.Array) -> list[tuple[jax.Array, ...]]:
        y, pullback = jax.vjp(lambda x, kernel: reference(x, kernel, stride, padding, groups), x, kernel)
        cotangent = jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)
        results = [(y, *pullback(cotangent))]
        for formulation in FORMULATIONS:

            def convolve(x: jax.Array, kernel: jax.Array, formulation: Formulation | None = formulation) -> jax.Array:
                return grouped_conv(x, kernel, stride=stride, padding=padding, groups=groups, formulation=formulation)

            y, pullback = jax.vjp(convolve, x, kernel)
            results.append((y, *pullback(cotangent)))
        return results

    with jax.enable_x64(True):
        expected, *found = jax.device_get(everything(x, kernel))
    assert expected[0].dtype == np.float64
    for formulation, results in zip(FORMULATIONS, found, strict=True):
        for what, result, right in zip(("output", "input", "kernel"), results, expected, strict=True):
            error = np.abs(result - right).max() / np.abs(right).max()
            assert error <= FLOAT64_OPERATION, (formulation, what)


def test_the_formulation_follows_the_platform() -> None:
    @jax.jit
    def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return grouped_conv(x, kernel, stride=1, padding=ONE, groups=32)

    traced = convolve.trace(jnp.zeros((1, 4, 4, 128)), jnp.zeros((3, 3, 4, 128)))
    cpu, cuda, tpu = (traced.lower(lowering_platforms=(name,)).as_text() for name in ("cpu", "cuda", "tpu"))
    assert cpu.count("stablehlo.convolution") == cpu.count("feature_group_count = 1 ") == 4
    assert cuda.count("stablehlo.convolution") == cuda.count("feature_group_count = 32 ") == 1
    assert tpu.count("stablehlo.convolution") == tpu.count("feature_group_count = 32 ") == 1


@pytest.mark.parametrize("formulation", ["native", "packed"])
def test_vmap_under_jit_equals_a_loop(formulation: Formulation) -> None:
    def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return grouped_conv(x, kernel, stride=2, padding=ONE, groups=4, formulation=formulation)

    x, kernels = random((3, 1, 5, 5, 48)).astype(np.float32), random((3, 3, 3, 12, 8)).astype(np.float32)
    together = jax.jit(jax.vmap(convolve))(x, kernels)
    one_by_one = jnp.stack([convolve(*pair) for pair in zip(x, kernels, strict=True)])
    assert together.shape == (3, 1, 3, 3, 8)
    np.testing.assert_allclose(together, one_by_one, rtol=0, atol=1e-5 * float(jnp.abs(one_by_one).max()))


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_bfloat16_stays(formulation: Formulation | None) -> None:
    x, kernel = jnp.ones((1, 3, 3, 64), jnp.bfloat16), jnp.ones((3, 3, 16, 4), jnp.bfloat16)
    y = grouped_conv(x, kernel, stride=1, padding=ONE, groups=4, formulation=formulation)
    assert y.dtype == jnp.bfloat16
    assert y[0, :, :, 2].tolist() == [[64, 96, 64], [96, 144, 96], [64, 96, 64]]


def test_block_diagonal_by_hand() -> None:
    kernel = jnp.array([[1.0, 2.0, 3.0, 4.0]]).reshape(1, 1, 1, 4)
    assert block_diagonal(kernel, 2)[0, 0].tolist() == [[1, 2, 0, 0], [0, 0, 3, 4]]


@pytest.mark.parametrize(
    ("channels", "kernel", "groups", "message"),
    [
        (
            6,
            (3, 3, 1, 4),
            4,
            "6 input and 4 output channels and a kernel of [kh, kw, 6 // groups, 4], found groups 4 and",
        ),
        (
            4,
            (3, 3, 1, 6),
            4,
            "4 input and 6 output channels and a kernel of [kh, kw, 4 // groups, 6], found groups 4 and",
        ),
        (
            4,
            (3, 3, 4, 4),
            2,
            "4 input and 4 output channels and a kernel of [kh, kw, 4 // groups, 4], found groups 2 and",
        ),
        (
            4,
            (3, 3, 4, 4),
            0,
            "4 input and 4 output channels and a kernel of [kh, kw, 4 // groups, 4], found groups 0 and",
        ),
    ],
)
def test_groups_that_do_not_fit(channels: int, kernel: tuple[int, ...], groups: int, message: str) -> None:
    with pytest.raises(ValueError, match="expected groups that divide") as caught:
        grouped_conv(jnp.zeros((1, 4, 4, channels)), jnp.zeros(kernel), stride=1, padding=ONE, groups=groups)
    assert str(caught.value) == f"grouped_conv: expected groups that divide {message} kernel {list(kernel)}"
