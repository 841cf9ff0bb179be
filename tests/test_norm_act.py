"""One gradient for norm, sum and ReLU, against the definition and against the parts."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec
from tolerances import BFLOAT16_OPERATION, FLOAT64_OPERATION
from torch_ported import relative_error

from jaxnext.models.norm_act import norm_act

EPS = 1e-5
ROWS, WHOLE = PartitionSpec("batch"), PartitionSpec()
MASK = np.array([True, False, True, True, True, False, False, True])
SHAPE = (8, 3, 2, 4)


def plain(x: Any, scale: Any, bias: Any, residual: Any, relu: bool) -> Any:
    """The definition; a sum over the rows that count, which alone it is given."""
    mean = x.mean((0, 1, 2), keepdims=True)
    var = ((x - mean) ** 2).mean((0, 1, 2), keepdims=True)
    y = (x - mean) / jnp.sqrt(var + EPS) * scale[None, None, None] + bias[None, None, None] + residual
    return jnp.maximum(y, 0) if relu else y


def arrays(shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(0)
    x, residual, cotangent = 2 + 3 * random.normal(size=(3, *shape))
    scale, bias = random.normal(size=(2, shape[-1]))
    return x, scale, bias, residual, cotangent - 2


def gradients(x: Any, scale: Any, bias: Any, residual: Any, cotangent: Any, mask: Any, relu: bool, axis: Any) -> Any:
    def loss(x: Any, scale: Any, bias: Any, residual: Any) -> Any:
        y, stats = norm_act(x, scale, bias, mask, EPS, axis, relu, residual)
        return (y.astype(scale.dtype) * cotangent).sum(), (y, stats)

    (dx, dscale, dbias, dresidual), (y, stats) = jax.grad(loss, (0, 1, 2, 3), has_aux=True)(x, scale, bias, residual)
    sums = (dscale, dbias) if axis is None else jax.lax.psum((dscale, dbias), axis)
    return (dx, dresidual, y), (*sums, *stats)


@pytest.mark.parametrize("devices", [1, 4])
@pytest.mark.parametrize(("relu", "added"), [(True, True), (True, False), (False, False)])
def test_it_is_the_definition_of_the_rows_that_count(relu: bool, added: bool, devices: int) -> None:
    with jax.enable_x64(True):
        x, scale, bias, residual, cotangent = arrays(SHAPE)
        given = residual if added else None
        residual, cotangent = residual * added, np.where(MASK[:, None, None, None], cotangent, 0)

        def expected(x: Any, scale: Any, bias: Any, residual: Any) -> Any:
            y = plain(x, scale, bias, residual, relu)
            return (y * cotangent[MASK]).sum(), y

        right, y = jax.grad(expected, (0, 1, 2, 3), has_aux=True)(x[MASK], scale, bias, residual[MASK])
        mesh = Mesh(np.array(jax.devices()[:devices]), ("batch",))
        specs = (ROWS, WHOLE, WHOLE, ROWS, ROWS, ROWS)

        def on_each(*args: Any) -> Any:
            return gradients(*args, relu, "batch")

        over = jax.jit(jax.shard_map(on_each, mesh=mesh, check_vma=False, in_specs=specs, out_specs=(ROWS, WHOLE)))
        found_in_rows, sums = jax.device_get(over(x, scale, bias, given, cotangent, MASK))
        right, y = jax.device_get((right, y))
    (dx, dresidual, found), (dscale, dbias, mean, var, count) = found_in_rows, sums
    for result, value in (
        *((dx[MASK], right[0]), (dscale, right[1]), (dbias, right[2]), (found[MASK], y)),
        *((mean, x[MASK].mean((0, 1, 2))), (var, x[MASK].var((0, 1, 2)))),
    ):
        assert relative_error(result, value) <= FLOAT64_OPERATION
    assert count == 5 * 6
    assert np.abs(dx[~MASK]).max() == 0
    if added:
        assert relative_error(dresidual[MASK], right[3]) <= FLOAT64_OPERATION
    else:
        assert dresidual is None
        assert np.abs(found[~MASK]).max() == 0


def test_bfloat16_is_that_of_float32() -> None:
    x, scale, bias, _, cotangent = (np.float32(each) for each in arrays((8, 16, 16, 4)))
    low = jnp.asarray(x, jnp.bfloat16)
    mask = np.ones(8, bool)
    found = jax.jit(lambda *args: gradients(*args, True, None))(low, scale, bias, None, cotangent, mask)
    expected = jax.jit(lambda *args: gradients(*args, True, None))(
        low.astype(jnp.float32), scale, bias, None, cotangent, mask
    )
    assert found[0][0].dtype == found[0][2].dtype == jnp.bfloat16
    for result, value in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert relative_error(result.astype(jnp.float32), value) <= BFLOAT16_OPERATION


def test_what_overflows_in_a_padded_row_reaches_no_other() -> None:
    x, scale, bias, _, cotangent = (np.float32(each) for each in arrays(SHAPE))
    cotangent[~MASK] = np.nan
    run = jax.jit(lambda x: gradients(x, scale, bias, None, cotangent, MASK, True, None))
    fine = run(x)
    x[~MASK] = np.inf
    jax.tree.map(np.testing.assert_array_equal, run(x), fine)
