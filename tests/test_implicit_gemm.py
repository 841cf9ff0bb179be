import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from tolerances import FLOAT64_OPERATION

from jaxnext.ops import implicit_gemm


def random(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def reference(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    strides, dimensions = (stride, stride), ("NHWC", "HWIO", "NHWC")
    pairs = zip(x, kernel, strict=True)
    return jnp.stack(
        [lax.conv_general_dilated(*pair, strides, "VALID", dimension_numbers=dimensions) for pair in pairs]
    )


def test_by_hand() -> None:
    x = jnp.arange(1.0, 7.0).reshape(1, 1, 2, 3, 1)  # 1 2 3 / 4 5 6
    kernel = jnp.array([1.0, 10.0, 100.0, 1000.0]).reshape(1, 2, 2, 1, 1)
    assert implicit_gemm.convolve(x, kernel, 1, (1, 2)).ravel().tolist() == [5421, 6532]
    dy = jnp.array([1.0, 2.0]).reshape(1, 1, 1, 2, 1)
    assert implicit_gemm.kernel_gradient(x, dy, (2, 2), 1).ravel().tolist() == [5, 8, 14, 17]
    # Stride 2: the windows begin in columns 0 and 2.
    assert implicit_gemm.convolve(x, kernel[:, :1, :1], 2, (1, 2)).ravel().tolist() == [1, 3]
    assert implicit_gemm.kernel_gradient(x, dy, (1, 1), 2).ravel().tolist() == [1 + 2 * 3]


# Several tiles of rows, of input channels and of features, each with a rest; three places of a kernel in one phase.
@pytest.mark.parametrize(
    ("shape", "window", "features", "stride"),
    [
        ((2, 3, 21, 14, 5), (3, 2), 6, 1),
        ((1, 2, 40, 11, 130), (2, 3), 140, 2),
        ((2, 1, 4, 70, 17), (1, 7), 3, 3),
        ((1, 1, 5, 140, 3), (5, 1), 16, 1),
    ],
)
def test_it_and_its_gradient_equal_lax_in_float64(
    shape: tuple[int, ...], window: tuple[int, int], features: int, stride: int
) -> None:
    @jax.jit
    def both(x, kernel):
        expected, pullback = jax.vjp(lambda kernel: reference(x, kernel, stride), kernel)
        dy = jnp.cos(jnp.arange(expected.size, dtype=x.dtype)).reshape(expected.shape)
        found = implicit_gemm.convolve(x, kernel, stride, (expected.shape[2], expected.shape[3]))
        return (found, implicit_gemm.kernel_gradient(x, dy, window, stride)), (expected, *pullback(dy))

    kernel = random((shape[0], *window, shape[-1], features), 1)
    with jax.enable_x64(True):
        results, expected = jax.device_get(both(random(shape, 0), kernel))
    for found, right in zip(results, expected, strict=True):
        assert found.dtype == np.float64
        assert found.shape == right.shape
        assert np.abs(found - right).max() <= FLOAT64_OPERATION * np.abs(right).max()


# Sums of many ones: bfloat16 holds 8 bits, so a bfloat16 sum would stop at 256.
def test_bfloat16_is_summed_in_float32() -> None:
    x, kernel = jnp.ones((1, 1, 1, 1, 600), jnp.bfloat16), jnp.ones((1, 1, 1, 600, 1), jnp.bfloat16)
    y = implicit_gemm.convolve(x, kernel, 1, (1, 1))
    assert (y.dtype, y.ravel().tolist()) == (jnp.bfloat16, [600])
    pixels = jnp.ones((1, 1, 24, 24, 1), jnp.bfloat16)
    dkernel = implicit_gemm.kernel_gradient(pixels, pixels, (1, 1), 1)
    assert (dkernel.dtype, dkernel.ravel().tolist()) == (jnp.bfloat16, [576])


# What Triton and Mosaic refuse, they refuse here: sizes that are no power of two, operations that they lack. That
# what they make of it compiles, runs and is right, no test without such a device can say.
# JAX 0.12 announces that Pallas will lose Triton, and with it this kernel GPUs.
@pytest.mark.filterwarnings("ignore:The Pallas Triton backend is deprecated:DeprecationWarning")
@pytest.mark.parametrize(("platform", "call"), [("cuda", "__gpu$xla.gpu.triton"), ("tpu", "tpu_custom_call")])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("stride", [1, 2])
def test_it_lowers_for_accelerators(platform: str, call: str, dtype: jax.typing.DTypeLike, stride: int) -> None:
    def both(x, kernel, dy):
        y = implicit_gemm.convolve(x, kernel, stride, (7, 7))
        return y, implicit_gemm.kernel_gradient(x, dy, (3, 3), stride)

    size = 6 * stride + 3
    shapes = [(2, 3, size, size, 120), (2, 3, 3, 120, 200), (2, 3, 7, 7, 200)]
    arrays = [jax.ShapeDtypeStruct(shape, dtype) for shape in shapes]
    # JAX 0.12 asks which device there is; 0.10.0 takes no platform.
    kind = {"cuda": ("NVIDIA H100 80GB HBM3", 132, "gpu"), "tpu": ("TPU v5", 1, "tpu")}[platform]
    kind = kind[: len(inspect.signature(jax.sharding.AbstractDevice).parameters)]
    mesh = jax.sharding.AbstractMesh((1,), ("device",), abstract_device=jax.sharding.AbstractDevice(*kind))
    with jax.sharding.use_abstract_mesh(mesh):
        text = jax.jit(both).trace(*arrays).lower(lowering_platforms=(platform,)).as_text()
    assert text.count(f"custom_call @{call}(") == 2
    assert "stablehlo.while" not in text, "the interpreted program is there, too"
