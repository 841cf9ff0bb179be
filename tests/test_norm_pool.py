"""One gradient for norm, ReLU and max-pool, against the parts."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec
from tolerances import BFLOAT16_OPERATION, FLOAT64_OPERATION
from torch_ported import relative_error

from jaxnext.models.norm import batch_norm
from jaxnext.models.norm_pool import norm_pool
from jaxnext.ops.pooling import max_pool

EPS = 1e-5
ROWS, WHOLE = PartitionSpec("batch"), PartitionSpec()
MASK = np.array([True, False, True, True, True, False, False, True])


def parts(x: Any, scale: Any, bias: Any, mask: Any, eps: float, axis_name: str | None) -> Any:
    y, stats = batch_norm(x, scale, bias, mask, eps, axis_name)  # pyright: ignore[reportGeneralTypeIssues]
    return max_pool(jnp.where(y > 0, y, 0)), stats


def gradients(compute: Any, x: Any, scale: Any, bias: Any, cotangent: Any, mask: Any, axis_name: str | None) -> Any:
    def loss(x: Any, scale: Any, bias: Any) -> Any:
        y, stats = compute(x, scale, bias, mask, EPS, axis_name)
        return (y.astype(scale.dtype) * cotangent).sum(), (y, stats)

    (dx, *parameters), (y, stats) = jax.grad(loss, (0, 1, 2), has_aux=True)(x, scale, bias)
    return (dx, y), (parameters if axis_name is None else jax.lax.psum(parameters, axis_name), stats)


def arrays(size: int) -> tuple[np.ndarray, ...]:
    random, half = np.random.default_rng(0), (size + 1) // 2
    # A negative scale: there the smallest of a window is the largest behind the norm.
    scale, bias = np.array([1.5, -0.5, 1.0]), np.array([0.5, 1.0, -0.25])
    return 2 + random.normal(size=(8, size, size, 3)), scale, bias, random.normal(size=(8, half, half, 3))


@pytest.mark.parametrize(("devices", "size"), [(1, 5), (4, 6)])
def test_it_is_the_parts(devices: int, size: int) -> None:
    with jax.enable_x64(True):
        args = arrays(size)
        expected = jax.jit(lambda *args: gradients(parts, *args, MASK, None))(*args)
        mesh = Mesh(np.array(jax.devices()[:devices]), ("batch",))

        def on_each(*args: Any) -> Any:
            return gradients(norm_pool, *args, "batch")

        specs = (ROWS, WHOLE, WHOLE, ROWS, ROWS)
        over = jax.jit(jax.shard_map(on_each, mesh=mesh, check_vma=False, in_specs=specs, out_specs=(ROWS, WHOLE)))
        found, expected = jax.device_get((over(*args, MASK), expected))
    for result, right in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert relative_error(result, right) <= FLOAT64_OPERATION


def test_bfloat16_is_that_of_float32() -> None:
    x, scale, bias, cotangent = (np.float32(each) for each in arrays(16))
    low, run = jnp.asarray(x, jnp.bfloat16), jax.jit(lambda *args: gradients(norm_pool, *args, np.ones(8, bool), None))
    found = run(low, scale, bias, cotangent)
    assert found[0][0].dtype == found[0][1].dtype == jnp.bfloat16
    expected = run(low.astype(jnp.float32), scale, bias, cotangent)
    for result, right in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert relative_error(result.astype(jnp.float32), right) <= BFLOAT16_OPERATION
