import jax
import jax.numpy as jnp
import pytest
from jax import lax

from jaxnext.ops.grouped_formulations import Formulation, parts
from jaxnext.ops.packed_conv import Geometry, block_diagonal, blocks_of, diagonal_blocks

NOTHING = ((0, 0), (0, 0))


def test_output_size_by_hand() -> None:
    x, kernel = jnp.zeros((1, 5, 4, 2)), jnp.zeros((3, 2, 1, 2))
    assert Geometry(1, NOTHING, 2).output_size(x, kernel) == (3, 3)
    assert Geometry(2, ((1, 1), (0, 1)), 2).output_size(x, kernel) == (3, 2)
    # Spread by two the input is 9 x 7; -1 crops one row.
    assert Geometry(2, ((-1, 0), (0, 0)), 2, 2).output_size(x, kernel) == (3, 3)


# 64 groups of 4 channels: 256 channels in blocks of 32 and 64.
@pytest.mark.parametrize(
    ("name", "blocks"),
    [("packed32", 8), ("packed64", 4), ("spare32", 8)],
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


def test_block_diagonal_by_hand() -> None:
    kernel = jnp.array([[1.0, 2.0, 3.0, 4.0]]).reshape(1, 1, 1, 4)
    assert block_diagonal(kernel, 2)[0, 0].tolist() == [[1, 2, 0, 0], [0, 0, 3, 4]]
    assert diagonal_blocks(block_diagonal(kernel, 2), 2).tolist() == kernel.tolist()


def test_a_block_holds_whole_groups_that_divide_them() -> None:
    assert blocks_of(35, 4, 32) == (5, 7)
    assert blocks_of(2, 64, 32) == (2, 1)
    assert blocks_of(11, 4, 32) == (11, 1)
