import jax
import jax.numpy as jnp
import numpy as np
from tolerances import FLOAT64_OPERATION

from jaxnext.ops.pointwise import pointwise_conv


def random(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def reference(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return jnp.einsum("nhwc,cf->nhwf", x, kernel)


def assert_equal(found, expected) -> None:
    for result, right in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert result.dtype == np.float64
        assert result.shape == right.shape
        assert np.abs(result - right).max() <= FLOAT64_OPERATION * np.abs(right).max()


def both_gradients(convolve, x: jax.Array, kernel: jax.Array):
    y, pullback = jax.vjp(convolve, x, kernel)
    return y, pullback(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))


def test_by_hand() -> None:
    x = jnp.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 1, 2)
    kernel = jnp.array([[1.0, 10.0, 100.0], [2.0, 20.0, 200.0]])
    y, pullback = jax.vjp(pointwise_conv, x, kernel)
    assert y[0, :, 0].tolist() == [[5, 50, 500], [11, 110, 1100]]
    dx, dkernel = pullback(jnp.array([[1.0, 0.0, 0.0], [0.0, 2.0, 1.0]]).reshape(1, 2, 1, 3))
    assert dx[0, :, 0].tolist() == [[1, 2], [120, 240]]
    assert dkernel.tolist() == [[1, 6, 3], [2, 8, 4]]


def test_it_and_its_gradients_equal_a_product_in_float64() -> None:
    x, kernel = random((2, 3, 4, 5)), random((5, 7), 1)
    with jax.enable_x64(True):
        found, expected = (
            jax.device_get(jax.jit(lambda *both, f=f: both_gradients(f, *both))(x, kernel))
            for f in (pointwise_conv, reference)
        )
    assert found[0].shape == (2, 3, 4, 7)
    assert_equal(found, expected)


def test_second_derivatives() -> None:
    def twice(convolve):
        def squares(x, kernel):
            dx, dkernel = jax.grad(lambda *both: (convolve(*both) ** 3).sum(), (0, 1))(x, kernel)
            return (dx**2).sum() + (dkernel**2).sum()

        return jax.jit(jax.grad(squares, (0, 1)))

    x, kernel = random((2, 2, 3, 4)), random((4, 3), 1)
    with jax.enable_x64(True):
        found, expected = (jax.device_get(twice(f)(x, kernel)) for f in (pointwise_conv, reference))
    assert_equal(found, expected)


def test_vmap_equals_a_loop() -> None:
    x, kernels = random((3, 2, 2, 2, 4)), random((3, 4, 5), 1)

    def convolve(x, kernel):
        return both_gradients(pointwise_conv, x, kernel)

    with jax.enable_x64(True):
        together = jax.device_get(jax.jit(jax.vmap(convolve))(x, kernels))
        one_by_one = [jax.device_get(convolve(*map(jnp.asarray, pair))) for pair in zip(x, kernels, strict=True)]
    assert_equal(together, jax.tree.map(lambda *results: np.stack(results), *one_by_one))


def test_bfloat16_stays() -> None:
    x, kernel = jnp.ones((1, 2, 2, 3), jnp.bfloat16), jnp.ones((3, 2), jnp.bfloat16)
    y, (dx, dkernel) = both_gradients(pointwise_conv, x, kernel)
    assert y.dtype == dx.dtype == dkernel.dtype == jnp.bfloat16
    assert y.ravel().tolist() == [3] * 8


def test_the_gradient_of_the_kernel_multiplies_input_by_gradient_of_the_output() -> None:
    """The other order is the one for which XLA writes a transposed copy."""

    def gradient(x, kernel, dy):
        return jax.vjp(pointwise_conv, x, kernel)[1](dy)[1]

    text = str(jax.make_jaxpr(gradient)(jnp.zeros((2, 3, 3, 4)), jnp.zeros((4, 5)), jnp.zeros((2, 3, 3, 5))))
    assert "f32[4,5] = dot_general[" in text
    assert "transpose[" not in text
