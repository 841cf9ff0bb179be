import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnext.ops.cpu import onednn
from jaxnext.ops.grouped_formulations import NAMES, Formulation, input_gradient, parts
from jaxnext.ops.packed_conv import Geometry

NOTHING = ((0, 0), (0, 0))
USABLE = [name for name in NAMES if name != "onednn" or onednn.is_available()]
pytestmark = pytest.mark.usefixtures("onednn_calls")


@pytest.mark.parametrize("name", ["packed", "packed16", "spare64", "lanes32", "naive", ""])
def test_unknown_name(name: Formulation) -> None:
    with pytest.raises(
        ValueError, match=f"^grouped_conv: expected a formulation among native, packed32, .*, onednn, found '{name}'$"
    ):
        parts(name)


# Channel 0 is one group, channel 1 the other, whose kernel is ten times the first's.
@pytest.mark.parametrize("name", USABLE)
def test_spread_and_cropped_input_by_hand(name: Formulation) -> None:
    x = jnp.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1) * jnp.array([[[[1.0, 10.0]]]])
    kernel = jnp.array([[1.0, 2.0], [3.0, 4.0]]).reshape(2, 2, 1, 1) * jnp.array([[[[1.0, 10.0]]]])
    forward = parts(name).forward
    spread, cropped = jax.jit(
        lambda *both: [forward(*both, g) for g in (Geometry(1, NOTHING, 2, 2), Geometry(1, ((-1, 1), (1, -1)), 2))]
    )(x, kernel)
    # 1 0 2 / 0 0 0 / 3 0 4
    assert spread[0, :, :, 0].tolist() == [[1, 2 * 2], [3 * 3, 4 * 4]]
    assert spread[0, :, :, 1].tolist() == [[100, 400], [900, 1600]]
    # 0 3 / 0 0
    assert cropped[0, :, :, 0].tolist() == [[2 * 3]]


@pytest.mark.parametrize("name", USABLE)
def test_both_gradients_by_hand(name: Formulation) -> None:
    geometry = Geometry(2, ((0, 1), (1, 0)), 2)
    x = jnp.arange(1.0, 7.0).reshape(1, 3, 2, 1) * jnp.array([[[[1.0, 10.0]]]])
    kernel = jnp.array([[1.0, 2.0], [3.0, 4.0]]).reshape(2, 2, 1, 1) * jnp.array([[[[1.0, 10.0]]]])
    dy = jnp.array([1.0, 2.0]).reshape(1, 2, 1, 1) * jnp.array([[[[1.0, 1.0]]]])

    # Padded: 0 1 2 / 0 3 4 / 0 5 6 / 0 0 0; the windows 0 1 / 0 3 and 0 5 / 0 0.
    def gradients(x: jax.Array, kernel: jax.Array, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
        dx = input_gradient(parts(name).forward, dy, kernel, (3, 2), geometry)
        return dx, parts(name).kernel_gradient(x, dy, (2, 2), geometry)

    dx, dkernel = jax.jit(gradients)(x, kernel, dy)
    assert dkernel[:, :, 0, 0].tolist() == [[0, 1 + 2 * 5], [0, 3]]
    assert dkernel[:, :, 0, 1].tolist() == [[0, 110], [0, 30]]
    assert dx[0, :, :, 0].tolist() == [[2, 0], [4, 0], [2 * 2, 0]]
    assert dx[0, :, :, 1].tolist() == [[20, 0], [40, 0], [40, 0]]


# Sums of 576 ones and many halves: bfloat16 holds 8 bits, so a bfloat16 sum would stop at 256.
def test_lanes_in_bfloat16_are_summed_in_float32() -> None:
    x, kernel = jnp.ones((1, 24, 24, 1), jnp.bfloat16), jnp.ones((24, 24, 1, 1), jnp.bfloat16)
    geometry = Geometry(1, NOTHING, 1)
    assert np.asarray(parts("lanes").forward(x, kernel, geometry)).ravel().tolist() == [576]
    dkernel = parts("lanes").kernel_gradient(x, x, (1, 1), geometry)
    assert np.asarray(dkernel).ravel().tolist() == [576]
