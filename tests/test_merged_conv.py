import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from tolerances import FLOAT64_OPERATION

from jaxnext.ops.grouped_formulations import input_gradient
from jaxnext.ops.merged_conv import merged, merged_kernel, merged_kernel_gradient, own_groups
from jaxnext.ops.packed_conv import Geometry

X, KERNEL, DY = (
    np.random.default_rng(n).normal(size=shape) for n, shape in enumerate([(4, 4, 4, 24), (3, 3, 4, 12), (4, 2, 2, 12)])
)
GEOMETRY = Geometry(2, ((1, 1), (1, 1)), 6)
Parts = tuple[jax.Array, jax.Array, jax.Array]


@functools.cache
def plain() -> Parts:
    """Output and both gradients, by XLA."""

    def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
        dimensions = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            x, kernel, (2, 2), GEOMETRY.padding, dimension_numbers=dimensions, feature_group_count=6
        )

    y, pullback = jax.vjp(convolve, jnp.asarray(X), jnp.asarray(KERNEL))
    return y, *pullback(jnp.asarray(DY))


def of_twelve_channels(x: jax.Array, kernel: jax.Array, dy: jax.Array) -> Parts:
    """The same by two groups, each of three of the six."""

    def forward(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
        return merged(x, kernel, geometry, 12)

    dx = input_gradient(lambda dy, turned, geometry: merged(dy, turned, geometry, 6), dy, kernel, (4, 4), GEOMETRY)
    return forward(x, kernel, GEOMETRY), dx, merged_kernel_gradient(x, dy, (3, 3), GEOMETRY, 12)


@pytest.mark.parametrize("devices", [1, 4])
def test_equals_the_plain_convolution_and_its_gradients(devices: int) -> None:
    mesh, split = Mesh(np.array(jax.devices()[:devices]), ("batch",)), PartitionSpec("batch")

    def parts(x: jax.Array, kernel: jax.Array, dy: jax.Array) -> Parts:
        y, dx, dkernel = of_twelve_channels(x, kernel, dy)
        return y, dx, lax.psum(dkernel, "batch")

    with jax.enable_x64(True):
        over = jax.shard_map(
            parts,
            mesh=mesh,
            in_specs=(split, PartitionSpec(), split),
            out_specs=(split, split, PartitionSpec()),
            check_vma=False,
        )
        for found, expected in zip(jax.jit(over)(X, KERNEL, DY), plain(), strict=True):
            assert found.dtype == np.float64
            np.testing.assert_allclose(found, expected, rtol=0, atol=FLOAT64_OPERATION * float(abs(expected).max()))


def test_is_one_convolution_of_two_groups() -> None:
    (y,) = [
        equation
        for equation in jax.make_jaxpr(lambda x, kernel: merged(x, kernel, GEOMETRY, 12))(X, KERNEL).jaxpr.eqns
        if equation.primitive is lax.conv_general_dilated_p
    ]
    assert y.params["feature_group_count"] == 2
    assert y.invars[1].aval.shape == (3, 3, 12, 12)


# Four groups of one channel, of which two become one.
def test_a_merged_kernel_by_hand() -> None:
    kernel = jnp.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 1, 4)
    dense = merged_kernel(kernel, 2, 2)
    assert dense[0, 0].tolist() == [[1, 0, 3, 0], [0, 2, 0, 4]]
    assert own_groups(dense, 2, 2).tolist() == kernel.tolist()
