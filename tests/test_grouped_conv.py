import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jax import lax
from tolerances import BFLOAT16_OPERATION, FLOAT32_OPERATION, FLOAT64_OPERATION

from jaxnext.ops import grouped_conv as grouped_conv_module
from jaxnext.ops.cpu import onednn
from jaxnext.ops.grouped_conv import Formulation, Padding, Plan, choose, grouped_conv
from jaxnext.ops.grouped_formulations import NAMES

MIXED = Plan("lanes", "spare32", "packed64")
FAMILIES: tuple[Formulation, ...] = ("native", "packed32", "spare32", "pallas", "lanes")
# oneDNN has no float64.
EVERYTHING: tuple[Formulation | Plan | None, ...] = (*(name for name in NAMES if name != "onednn"), MIXED, None)
ONE = ((1, 1), (1, 1))


def reference(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding, groups: int) -> jax.Array:
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups
    )


def random(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def both_gradients(
    x: jax.Array, kernel: jax.Array, stride: int, padding: Padding, groups: int, formulation: Formulation | Plan | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Output and the gradients of both operands, for an arbitrary gradient of the output."""

    def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return grouped_conv(x, kernel, stride=stride, padding=padding, groups=groups, formulation=formulation)

    return with_pullback(*jax.vjp(convolve, x, kernel))


def with_pullback(y, pullback):
    return y, *pullback(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))


def assert_equal(found, expected, what: object) -> None:
    for part, result, right in zip(("output", "input", "kernel"), found, expected, strict=True):
        assert result.dtype == np.float64
        assert result.shape == right.shape, (what, part)
        error = np.abs(result - right).max()
        assert error <= FLOAT64_OPERATION * np.abs(right).max(), (what, part, error)


@pytest.mark.parametrize("formulation", [*FAMILIES, MIXED, None])
def test_two_groups_of_two_channels_by_hand(formulation: Formulation | Plan | None) -> None:
    x = jnp.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 1, 4)
    kernel = jnp.array([[1.0, 10.0, 100.0, 1000.0], [2.0, 20.0, 200.0, 2000.0]]).reshape(1, 1, 2, 4)

    def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return grouped_conv(x, kernel, stride=1, padding=((0, 0), (0, 0)), groups=2, formulation=formulation)

    @jax.jit
    def everything(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, ...]:
        y, pullback = jax.vjp(convolve, x, kernel)
        return y, *pullback(jnp.array([1.0, 2.0, 3.0, 4.0]).reshape(y.shape))

    y, dx, dkernel = everything(x, kernel)
    assert y.ravel().tolist() == [1 + 2 * 2, 10 + 2 * 20, 3 * 100 + 4 * 200, 3 * 1000 + 4 * 2000]
    assert dx.ravel().tolist() == [1 + 2 * 10, 2 + 2 * 20, 3 * 100 + 4 * 1000, 3 * 200 + 4 * 2000]
    assert dkernel[0, 0].tolist() == [[1, 2, 3 * 3, 3 * 4], [2, 4, 4 * 3, 4 * 4]]


def test_padding_before_and_after_by_hand() -> None:
    x, kernel = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 1, 2))
    after = grouped_conv(x, kernel, stride=2, padding=((0, 1), (0, 1)), groups=2)
    before = grouped_conv(x, kernel, stride=2, padding=((1, 0), (1, 0)), groups=2)
    assert after[0, :, :, 1].tolist() == [[9, 6], [6, 4]]
    assert before[0, :, :, 1].tolist() == [[4, 6], [6, 9]]


def test_the_example_of_the_readme() -> None:
    text = (Path(grouped_conv_module.__file__).parent / "README.md").read_text()
    names: dict[str, Any] = {}
    exec(text.split("```python\n", 1)[1].split("```", 1)[0], names)
    assert names["y"].shape == (1, 28, 28, 128)
    assert names["dkernel"].shape == (3, 3, 4, 128)


# Groups, and channels of one: a block of 16 to 128 channels holds several groups, one, or less than one, and not always
# evenly; from the seventh on also 128 channels are several blocks. A padding of -1 crops; one that is larger than the
# window crops the gradient's.
CHANNELS = ((1, 1), (1, 3), (3, 1), (3, 4), (8, 3), (5, 20), (35, 4), (16, 9), (144, 1), (8, 20))
ANY_SHAPE = {
    "batch": st.integers(1, 3),
    "channels": st.sampled_from(CHANNELS),
    "features": st.integers(1, 3),
    "window": st.tuples(st.integers(1, 3), st.integers(1, 3)),
    "beyond": st.tuples(st.integers(2, 4), st.integers(2, 4)),
    "stride": st.integers(1, 3),
    "padding": st.tuples(*[st.tuples(st.integers(-1, 3), st.integers(-1, 3))] * 2),
}


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(**ANY_SHAPE)
def test_every_formulation_and_its_gradients_equal_lax(
    batch: int,
    channels: tuple[int, int],
    features: int,
    window: tuple[int, int],
    beyond: tuple[int, int],
    stride: int,
    padding: Padding,
) -> None:
    groups, per_group = channels
    x = random((batch, window[0] + beyond[0], window[1] + beyond[1], groups * per_group))
    kernel = random((*window, per_group, groups * features), 1)

    @jax.jit
    def everything(x, kernel):
        native = with_pullback(*jax.vjp(lambda *both: reference(*both, stride, padding, groups), x, kernel))
        return [native, *(both_gradients(x, kernel, stride, padding, groups, name) for name in FAMILIES)]

    with jax.enable_x64(True):
        expected, *found = jax.device_get(everything(x, kernel))
    for formulation, results in zip(FAMILIES, found, strict=True):
        assert_equal(results, expected, formulation)


# One shape for the quick run: uneven blocks, asymmetric padding, stride 2 that leaves a row over.
def test_every_formulation_at_one_shape() -> None:
    x, kernel, padding = random((2, 6, 5, 24)), random((3, 2, 4, 12), 1), ((2, 0), (-1, 1))

    @jax.jit
    def everything(x, kernel):
        native = with_pullback(*jax.vjp(lambda *both: reference(*both, 2, padding, 6), x, kernel))
        return [native, *(both_gradients(x, kernel, 2, padding, 6, name) for name in EVERYTHING)]

    with jax.enable_x64(True):
        expected, *found = jax.device_get(everything(x, kernel))
    assert expected[0].shape == (2, 3, 2, 12)
    for formulation, results in zip(EVERYTHING, found, strict=True):
        assert_equal(results, expected, formulation)


# XLA's CPU backend reads outside of an input that is cropped before and padded behind, unless it is float64
# (openxla/xla#48713). The gradient of the input is such a convolution where the padding is as long as the window.
@pytest.mark.parametrize("padding", [((-1, 1), (0, 0)), ((1, -1), (0, 0)), ((0, 0), (-2, 1)), ((0, 0), (1, -1))])
def test_cropped_before_and_padded_behind_in_float32(padding: Padding) -> None:
    x, kernel = random((2, 3, 3, 8)), random((1, 1, 4, 8), 1)
    with jax.enable_x64(True):
        exact = both_gradients(*jax.device_put((x, kernel)), 1, padding, 2, "native")

    @jax.jit
    def everything(x, kernel):
        return [both_gradients(x, kernel, 1, padding, 2, name) for name in FAMILIES]

    for name, found in zip(FAMILIES, everything(x.astype(np.float32), kernel.astype(np.float32)), strict=True):
        for part, result, expected in zip(("output", "input", "kernel"), found, exact, strict=True):
            atol = FLOAT32_OPERATION * np.abs(expected).max()
            np.testing.assert_allclose(result, expected, rtol=0, atol=atol, err_msg=f"{name}: {part}")


@pytest.mark.parametrize("formulation", ["packed32", None])
def test_an_empty_batch(formulation: Formulation | Plan | None) -> None:
    x, kernel = np.zeros((0, 5, 5, 4), np.float32), np.ones((3, 3, 2, 4), np.float32)
    y, dx, dkernel = both_gradients(x, kernel, 2, ONE, 2, formulation)
    assert y.shape == (0, 3, 3, 4)
    assert dx.shape == (0, 5, 5, 4)
    assert dkernel.tolist() == np.zeros_like(kernel).tolist()


@pytest.mark.slow
def test_second_derivatives_equal_lax() -> None:
    x, kernel = random((1, 4, 4, 12)), random((3, 3, 2, 6), 1)

    def twice(convolve):
        def squares(x, kernel):
            dx, dkernel = jax.grad(lambda *both: (convolve(*both) ** 3).sum(), (0, 1))(x, kernel)
            return (dx**2).sum() + (dkernel**2).sum()

        return jax.value_and_grad(squares, (0, 1))

    @jax.jit
    def everything(x, kernel):
        padding = ((1, 0), (0, 1))
        results = [twice(lambda *both: reference(*both, 2, padding, 6))(x, kernel)]
        for name in FAMILIES:

            def convolve(x, kernel, name=name):
                return grouped_conv(x, kernel, stride=2, padding=padding, groups=6, formulation=name)

            results.append(twice(convolve)(x, kernel))
        return [(value, *gradients) for value, gradients in results]

    with jax.enable_x64(True):
        expected, *found = jax.device_get(everything(x, kernel))
    for name, results in zip(FAMILIES, found, strict=True):
        assert_equal(results, expected, name)


# y = x0 k0 + x1 k1, so the Hessian of y^2 / 2 by the kernel is x x'.
def test_a_hessian_is_reverse_over_reverse() -> None:
    x = jnp.array([2.0, 5.0]).reshape(1, 1, 1, 2)

    def half_square(kernel: jax.Array) -> jax.Array:
        y = grouped_conv(x, kernel, stride=1, padding=((0, 0), (0, 0)), groups=1)
        return (y**2).sum() / 2

    kernel = jnp.ones((1, 1, 2, 1))
    assert jax.jacrev(jax.grad(half_square))(kernel).reshape(2, 2).tolist() == [[4, 10], [10, 25]]
    with pytest.raises(TypeError, match="forward-mode"):
        jax.hessian(half_square)(kernel)


needs_onednn = pytest.mark.skipif(not onednn.is_available(), reason="this jaxlib is not known to have oneDNN")


# As the property above; the gradients of a dilated or cropped input, too. oneDNN computes in float32 only, so that it
# cannot be compared to float64's 1e-10: it is compared with the exact result to float32's tolerance.
@needs_onednn
@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(**ANY_SHAPE)
@example(batch=2, channels=(2, 1), features=1, window=(1, 1), beyond=(2, 2), stride=3, padding=((0, 0), (1, -1)))
def test_onednn_and_its_gradients_equal_lax_in_float32(
    onednn_calls: None,
    batch: int,
    channels: tuple[int, int],
    features: int,
    window: tuple[int, int],
    beyond: tuple[int, int],
    stride: int,
    padding: Padding,
) -> None:
    groups, per_group = channels
    x = random((batch, window[0] + beyond[0], window[1] + beyond[1], groups * per_group))
    kernel = random((*window, per_group, groups * features), 1)

    def twice(convolve, x, kernel):
        results = with_pullback(*jax.vjp(convolve, x, kernel))
        return *results, *jax.grad(
            lambda *both: (jax.grad(lambda x: (convolve(x, both[1]) ** 3).sum())(both[0]) ** 2).sum(), (0, 1)
        )(x, kernel)

    with jax.enable_x64(True):
        expected = jax.jit(functools.partial(twice, lambda *both: reference(*both, stride, padding, groups)))(x, kernel)

    def convolve(x, kernel):
        return grouped_conv(x, kernel, stride=stride, padding=padding, groups=groups, formulation="onednn")

    single = x.astype(np.float32), kernel.astype(np.float32)
    found, expected = jax.device_get((jax.jit(functools.partial(twice, convolve))(*single), expected))
    for result, right in zip(found, expected, strict=True):
        assert result.dtype == np.float32
        assert result.shape == right.shape
        assert np.abs(result - right).max() <= FLOAT32_OPERATION * np.abs(right).max()


# The kernel's gradient is a dilated depthwise convolution, which oneDNN must not compute.
@needs_onednn
def test_onednn_and_the_gradient_of_one_image_with_a_group_a_channel(onednn_calls: None) -> None:
    x, kernel = random((1, 6, 7, 3)), random((3, 3, 1, 3), 1)
    found = both_gradients(x.astype(np.float32), kernel.astype(np.float32), 2, ONE, 3, "onednn")
    with jax.enable_x64(True):
        exact = both_gradients(*jax.device_put((x, kernel)), 2, ONE, 3, "native")
    for result, expected in zip(found, exact, strict=True):
        np.testing.assert_allclose(result, expected, rtol=0, atol=FLOAT32_OPERATION * np.abs(expected).max())


@needs_onednn
def test_onednn_maps_over_images_and_kernels(onednn_calls: None) -> None:
    x, kernels = random((3, 1, 5, 5, 48)).astype(np.float32), random((3, 3, 3, 12, 8), 1).astype(np.float32)

    def convolve(name: Formulation, x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, ...]:
        return both_gradients(x, kernel, 2, ONE, 4, name)

    found, expected = (
        jax.jit(jax.vmap(functools.partial(convolve, name)))(x, kernels) for name in ("onednn", "packed32")
    )
    for result, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(result, right, atol=FLOAT32_OPERATION * np.abs(right).max())


ALL_NATIVE, ALL_PACKED = Plan("native", "native", "native"), Plan("packed32", "packed32", "packed32")
ALL_ONEDNN, LANES = Plan("onednn", "onednn", "onednn"), Plan("lanes", "lanes", "packed32")
SPARE = Plan("spare32", "spare32", "packed32")


@pytest.mark.parametrize(
    ("groups", "per_group", "with_onednn", "float32", "bfloat16", "float64"),
    [
        (1, 3, ALL_ONEDNN, ALL_NATIVE, ALL_NATIVE, ALL_NATIVE),
        (1, 1, ALL_ONEDNN, ALL_NATIVE, ALL_NATIVE, ALL_NATIVE),
        (2, 1, Plan("onednn", "onednn", "packed32"), LANES, LANES, LANES),
        (768, 1, Plan("onednn", "onednn", "packed32"), LANES, LANES, LANES),
        (64, 2, ALL_ONEDNN, SPARE, SPARE, ALL_PACKED),
        (32, 4, ALL_ONEDNN, SPARE, SPARE, ALL_PACKED),
        (17, 64, ALL_ONEDNN, SPARE, SPARE, ALL_PACKED),
    ],
)
def test_the_rule(
    groups: int,
    per_group: int,
    with_onednn: Plan,
    float32: Plan,
    bfloat16: Plan,
    float64: Plan,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for obstacle, single in ((None, with_onednn), ("some reason", float32)):
        monkeypatch.setattr(
            onednn, "why_unavailable", lambda dtype, o=obstacle: o if jnp.dtype(dtype) == jnp.float32 else "another"
        )
        for name, expected in (("float32", single), ("bfloat16", bfloat16), ("float64", float64)):
            for dtype, size in ((name, (7, 7)), (jnp.dtype(name), (56, 56)), (getattr(jnp, name), (7, 7))):
                assert choose("cpu", groups, per_group, size, dtype) == expected
                for platform in ("cuda", "rocm"):
                    assert choose(platform, groups, per_group, size, dtype) == ALL_NATIVE


@pytest.mark.parametrize(
    ("groups", "per_group", "expected"),
    [
        (32, 4, "merged128"),
        (64, 127, "merged128"),
        (2, 2, "merged128"),
        (32, 8, "merged256"),
        (32, 9, "merged128"),
        (64, 128, "native"),
        (32, 1, "native"),
        (1, 64, "native"),
    ],
)
def test_the_rule_on_tpus(groups: int, per_group: int, expected: Formulation) -> None:
    assert choose("tpu", groups, per_group, (7, 7), "bfloat16") == Plan(expected, expected, expected)


def test_onednn_where_it_cannot_be_used(onednn_calls: None) -> None:
    x, kernel = jnp.zeros((1, 4, 4, 4), jnp.bfloat16), jnp.zeros((3, 3, 1, 4), jnp.bfloat16)
    with pytest.raises(ValueError, match="the formulation 'onednn' cannot be used: it is used for float32, not for bf"):
        grouped_conv(x, kernel, stride=1, padding=ONE, groups=4, formulation="onednn")


@pytest.mark.parametrize("calls_onednn", [False, pytest.param(True, marks=needs_onednn)])
def test_the_formulation_follows_the_platform(calls_onednn: bool, onednn_calls: None) -> None:
    jax.config.update("jax_enable_compilation_cache", not calls_onednn)

    @jax.jit
    def gradients(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, ...]:
        return both_gradients(x, kernel, 1, ONE, 32, None)

    traced = gradients.trace(jnp.zeros((1, 4, 4, 128)), jnp.zeros((3, 3, 4, 128)))
    cpu, cuda, tpu = (traced.lower(lowering_platforms=(name,)).as_text() for name in ("cpu", "cuda", "tpu"))
    assert cpu.count("@__onednn$convolution") == (3 if calls_onednn else 0)
    # Four blocks of 32 channels for each of the three parts.
    assert cpu.count("stablehlo.convolution") == cpu.count("feature_group_count = 1 ") == (0 if calls_onednn else 12)
    # One block of 128 channels.
    assert tpu.count("stablehlo.convolution") == tpu.count("feature_group_count = 1 ") == 3
    assert cuda.count("stablehlo.convolution") == 3
    # XLA's own gradient of the kernel groups the batch, in which the input's channels lie.
    assert cuda.count("feature_group_count = 32 ") == 2
    assert cuda.count("batch_group_count = 32 ") == 1


def test_a_plan_computes_each_part_by_its_own_formulation() -> None:
    plan = Plan("packed32", "native", "lanes")

    def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return grouped_conv(x, kernel, stride=1, padding=ONE, groups=32, formulation=plan)

    def gradient(x: jax.Array, kernel: jax.Array, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.vjp(convolve, x, kernel)[1](dy)

    x, kernel = jnp.zeros((1, 4, 4, 128)), jnp.zeros((3, 3, 4, 128))
    forward = str(jax.make_jaxpr(convolve)(x, kernel))
    assert forward.count("conv_general_dilated[") == forward.count("feature_group_count=1\n") == 4
    both = str(jax.make_jaxpr(gradient)(x, kernel, x))
    assert both.count("conv_general_dilated[") == 4 + 1 + 4
    assert both.count("feature_group_count=32\n") == 1


def test_a_kernel_larger_than_the_padded_input() -> None:
    x, kernel = jnp.zeros((1, 4, 2, 4)), jnp.zeros((3, 5, 1, 4))
    with pytest.raises(ValueError, match="larger") as caught:
        grouped_conv(x, kernel, stride=1, padding=ONE, groups=4)
    assert str(caught.value) == (
        "grouped_conv: expected an input that is, with its padding, as large as the kernel of 3x5 or larger, "
        "found 4x2 with padding ((1, 1), (1, 1))"
    )


@pytest.mark.parametrize("formulation", FAMILIES)
def test_vmap_under_jit_equals_a_loop(formulation: Formulation) -> None:
    def convolve(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, ...]:
        return both_gradients(x, kernel, 2, ONE, 4, formulation)

    x, kernels = random((3, 1, 5, 5, 48)), random((3, 3, 3, 12, 8), 1)
    with jax.enable_x64(True):
        together = jax.device_get(jax.jit(jax.vmap(convolve))(x, kernels))
        alone = jax.jit(convolve)
        one_by_one = jax.device_get([alone(*pair) for pair in zip(x, kernels, strict=True)])
    assert together[0].shape == (3, 1, 3, 3, 8)
    assert_equal(together, [np.stack(results) for results in zip(*one_by_one, strict=True)], formulation)


@pytest.mark.slow
def test_bfloat16_stays_and_is_near_float32() -> None:
    x, kernel = (random(s, n).astype(jnp.bfloat16) for n, s in enumerate([(2, 5, 5, 64), (3, 3, 16, 8)]))

    @jax.jit
    def everything(x, kernel):
        return [both_gradients(x, kernel, 2, ONE, 4, name) for name in FAMILIES]

    expected = jax.device_get(everything(x.astype(np.float32), kernel.astype(np.float32)))[0]
    for name, results in zip(FAMILIES, jax.device_get(everything(x, kernel)), strict=True):
        for result, right in zip(results, expected, strict=True):
            assert result.dtype == jnp.bfloat16, name
            assert np.abs(result.astype(np.float32) - right).max() <= BFLOAT16_OPERATION * np.abs(right).max(), name


@pytest.mark.parametrize(
    ("channels", "kernel", "groups"),
    [(6, (3, 3, 1, 4), 4), (4, (3, 3, 1, 6), 4), (4, (3, 3, 4, 4), 2), (4, (3, 3, 4, 4), 0)],
)
def test_groups_that_do_not_fit(channels: int, kernel: tuple[int, ...], groups: int) -> None:
    with pytest.raises(ValueError, match="expected groups that divide") as caught:
        grouped_conv(jnp.zeros((1, 4, 4, channels)), jnp.zeros(kernel), stride=1, padding=ONE, groups=groups)
    assert str(caught.value) == (
        f"grouped_conv: expected groups that divide {channels} input and {kernel[3]} output channels and a kernel of "
        f"[kh, kw, {channels} // groups, {kernel[3]}], found groups {groups} and kernel {list(kernel)}"
    )


@pytest.mark.parametrize(("x", "kernel"), [((4, 4, 4), (3, 3, 1, 4)), ((1, 4, 4, 4), (3, 1, 4))])
def test_arrays_of_another_rank(x: tuple[int, ...], kernel: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected an input") as caught:
        grouped_conv(jnp.zeros(x), jnp.zeros(kernel), stride=1, padding=ONE, groups=4)
    assert str(caught.value) == (
        "grouped_conv: expected an input [N, H, W, C] and a kernel [kh, kw, C // groups, F], "
        f"found {list(x)} and {list(kernel)}"
    )


@pytest.mark.parametrize(
    ("x", "kernel"),
    [("float32", "bfloat16"), ("float16", "float16"), ("int32", "int32")],
)
def test_dtypes_that_differ_or_were_not_tested(x: str, kernel: str) -> None:
    with pytest.raises(ValueError, match="expected input and kernel") as caught:
        grouped_conv(jnp.zeros((1, 4, 4, 4), x), jnp.zeros((3, 3, 1, 4), kernel), stride=1, padding=ONE, groups=4)
    assert str(caught.value) == (
        f"grouped_conv: expected input and kernel both in one of float32, bfloat16, float64, found {x} and {kernel}"
    )


@pytest.mark.parametrize("stride", [0, -1])
def test_a_stride_below_one(stride: int) -> None:
    with pytest.raises(ValueError, match=f"^grouped_conv: expected a stride of at least 1, found {stride}$"):
        grouped_conv(jnp.zeros((1, 4, 4, 4)), jnp.zeros((3, 3, 1, 4)), stride=stride, padding=ONE, groups=4)
