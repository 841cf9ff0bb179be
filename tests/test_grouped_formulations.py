import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxnext.ops.cpu import onednn
from jaxnext.ops.grouped_formulations import NAMES, Formulation, Geometry, block_diagonal, input_gradient, parts

NOTHING = ((0, 0), (0, 0))
USABLE = [name for name in NAMES if name != "onednn" or onednn.is_available()]
pytestmark = pytest.mark.usefixtures("onednn_calls")


def test_names() -> None:
    assert set(NAMES) == {
        *("native", "lanes", "onednn", "pallas", "packed16", "packed32", "packed64", "packed128"),
        *("spare16", "spare32", "spare64", "shifted16", "shifted32", "shifted64", "shifted128"),
    }


@pytest.mark.parametrize("name", ["packed", "spare128", "shifted8", "naive", "lanes1"])
def test_unknown_name(name: Formulation) -> None:
    with pytest.raises(ValueError, match=f"expected a formulation among native, .*, onednn, found '{name}'"):
        parts(name)


def test_output_size_by_hand() -> None:
    x, kernel = jnp.zeros((1, 5, 4, 2)), jnp.zeros((3, 2, 1, 2))
    assert Geometry(1, NOTHING, 2).output_size(x, kernel) == (3, 3)
    assert Geometry(2, ((1, 1), (0, 1)), 2).output_size(x, kernel) == (3, 2)
    # Spread by two the input is 9 x 7; -1 crops one row.
    assert Geometry(2, ((-1, 0), (0, 0)), 2, 2).output_size(x, kernel) == (3, 3)


# Channel 0 is one group, channel 1 the other, whose kernel is ten times the first's.
@pytest.mark.parametrize("name", USABLE)
def test_spread_and_cropped_input_by_hand(name: Formulation) -> None:
    x = jnp.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1) * jnp.array([1.0, 10.0])
    kernel = jnp.array([[1.0, 2.0], [3.0, 4.0]]).reshape(2, 2, 1, 1) * jnp.array([1.0, 10.0])
    spread = parts(name).forward(x, kernel, Geometry(1, NOTHING, 2, 2))
    # 1 0 2 / 0 0 0 / 3 0 4
    assert spread[0, :, :, 0].tolist() == [[1, 2 * 2], [3 * 3, 4 * 4]]
    assert spread[0, :, :, 1].tolist() == [[100, 400], [900, 1600]]
    cropped = parts(name).forward(x, kernel, Geometry(1, ((-1, 1), (1, -1)), 2))
    # 0 3 / 0 0
    assert cropped[0, :, :, 0].tolist() == [[2 * 3]]


@pytest.mark.parametrize("name", USABLE)
def test_both_gradients_by_hand(name: Formulation) -> None:
    geometry = Geometry(2, ((0, 1), (1, 0)), 2)
    x = jnp.arange(1.0, 7.0).reshape(1, 3, 2, 1) * jnp.array([1.0, 10.0])
    kernel = jnp.array([[1.0, 2.0], [3.0, 4.0]]).reshape(2, 2, 1, 1) * jnp.array([1.0, 10.0])
    dy = jnp.array([1.0, 2.0]).reshape(1, 2, 1, 1) * jnp.array([1.0, 1.0])
    # Padded: 0 1 2 / 0 3 4 / 0 5 6 / 0 0 0; the windows 0 1 / 0 3 and 0 5 / 0 0.
    dkernel = parts(name).kernel_gradient(x, dy, (2, 2), geometry)
    assert dkernel[:, :, 0, 0].tolist() == [[0, 1 + 2 * 5], [0, 3]]
    assert dkernel[:, :, 0, 1].tolist() == [[0, 110], [0, 30]]
    dx = input_gradient(parts(name).forward, dy, kernel, (3, 2), geometry)
    assert dx[0, :, :, 0].tolist() == [[2, 0], [4, 0], [2 * 2, 0]]
    assert dx[0, :, :, 1].tolist() == [[20, 0], [40, 0], [40, 0]]


# 64 groups of 4 channels: 256 channels in blocks of 16, 32, 64 and 128.
@pytest.mark.parametrize(
    ("name", "blocks"),
    [("packed16", 16), ("packed32", 8), ("packed64", 4), ("packed128", 2), ("spare16", 16), ("spare32", 8)],
)
def test_dense_blocks_of_about_this_many_channels(name: Formulation, blocks: int) -> None:
    x, kernel, geometry = jnp.zeros((1, 4, 4, 256)), jnp.zeros((3, 3, 4, 256)), Geometry(1, ((1, 1), (1, 1)), 64)
    forward = jax.make_jaxpr(lambda x, kernel: parts(name).forward(x, kernel, geometry))(x, kernel)
    gradient = jax.make_jaxpr(lambda x, dy: parts(name).kernel_gradient(x, dy, (3, 3), geometry))(x, x)
    heights = {"packed": 4, "spare": 5}
    for jaxpr, height in ((forward, heights[name.rstrip("0123456789")]), (gradient, 3)):
        convolutions = [e for e in jaxpr.jaxpr.eqns if e.primitive is lax.conv_general_dilated_p]
        assert len(convolutions) == blocks
        assert {e.params["feature_group_count"] for e in convolutions} == {1}
        assert {e.invars[0].aval.shape[-1] for e in convolutions} == {256 // blocks}
        assert {e.outvars[0].aval.shape[1 if jaxpr is forward else 0] for e in convolutions} == {height}


def test_shifted_is_one_product_for_each_kernel_position() -> None:
    x, kernel, geometry = jnp.zeros((1, 4, 4, 256)), jnp.zeros((3, 3, 4, 256)), Geometry(1, ((1, 1), (1, 1)), 64)
    text = str(jax.make_jaxpr(lambda *both: parts("shifted64").forward(*both, geometry))(x, kernel))
    assert text.count("dot_general[") == 9
    assert "conv_general_dilated[" not in text


def test_block_diagonal_by_hand() -> None:
    kernel = jnp.array([[1.0, 2.0, 3.0, 4.0]]).reshape(1, 1, 1, 4)
    assert block_diagonal(kernel, 2)[0, 0].tolist() == [[1, 2, 0, 0], [0, 0, 3, 4]]


# Sums of 576 ones and many halves: bfloat16 holds 8 bits, so a bfloat16 sum would stop at 256.
@pytest.mark.parametrize("name", ["shifted32", "shifted128", "lanes"])
def test_bfloat16_is_summed_in_float32(name: Formulation) -> None:
    x, kernel = jnp.ones((1, 24, 24, 1), jnp.bfloat16), jnp.ones((24, 24, 1, 1), jnp.bfloat16)
    geometry = Geometry(1, NOTHING, 1)
    assert np.asarray(parts(name).forward(x, kernel, geometry)).ravel().tolist() == [576]
    dkernel = parts(name).kernel_gradient(x, x, (1, 1), geometry)
    assert np.asarray(dkernel).ravel().tolist() == [576]
