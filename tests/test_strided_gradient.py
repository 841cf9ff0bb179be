import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import FLOAT64_OPERATION

from jaxnext.ops.grouped_conv import Plan, grouped_conv
from jaxnext.ops.packed_conv import Geometry
from jaxnext.ops.strided_gradient import applies

ONE = ((1, 1), (1, 1))


def test_by_hand() -> None:
    # Of an input of 2x2 the one window has the input at the kernel's lower right.
    kernel = jnp.arange(1.0, 10.0).reshape(3, 3, 1, 1)
    plan = Plan("native", "strided", "native")
    x = jnp.zeros((1, 2, 2, 1))
    dx = jax.grad(lambda x: grouped_conv(x, kernel, stride=2, padding=ONE, groups=1, formulation=plan).sum())(x)
    assert dx[0, :, :, 0].tolist() == [[5, 6], [8, 9]]


@pytest.mark.parametrize("groups", [1, 2])
def test_it_is_the_gradient_of_xlas_convolution(groups: int) -> None:
    rng = np.random.default_rng(0)
    x, kernel, dy = (rng.normal(size=shape) for shape in ((2, 6, 4, 4), (3, 3, 4 // groups, 6), (2, 3, 2, 6)))

    def gradient(formulation: str) -> jax.Array:
        plan = Plan("native", formulation, "native")

        def loss(x: jax.Array) -> jax.Array:
            y = grouped_conv(x, jnp.asarray(kernel), stride=2, padding=ONE, groups=groups, formulation=plan)
            return (y * dy).sum()

        return jax.grad(loss)(jnp.asarray(x))

    with jax.enable_x64(True):
        found, expected = (jax.device_get(gradient(name)) for name in ("strided", "native"))
    assert np.abs(found - expected).max() <= FLOAT64_OPERATION * np.abs(expected).max()


def test_where_it_applies() -> None:
    fits = Geometry(2, ONE, 4)
    found = [
        applies((6, 4), (3, 3), fits),
        applies((5, 4), (3, 3), fits),
        applies((6, 4), (7, 7), fits),
        applies((6, 4), (3, 3), fits._replace(stride=1)),
        applies((6, 4), (3, 3), fits._replace(padding=((0, 0), (1, 1)))),
    ]
    assert found == [True, False, False, False, False]


def test_gpus_have_it_where_it_applies() -> None:
    def text(size: int) -> str:
        x, kernel = jnp.zeros((1, size, size, 4)), jnp.zeros((3, 3, 2, 4))
        gradient = jax.grad(lambda x: grouped_conv(x, kernel, stride=2, padding=ONE, groups=2).sum())
        return jax.jit(gradient).trace(x).lower(lowering_platforms=("cuda",)).as_text()

    # XLA's own spreads the gradient by the stride.
    assert ("lhs_dilate = [2, 2]" in text(4), "lhs_dilate = [2, 2]" in text(5)) == (False, True)
