"""A 1x1 convolution and its norm without the convolution's output, against the definition."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec
from tolerances import BFLOAT16_OPERATION, FLOAT64_OPERATION
from torch_ported import relative_error

from jaxnext.models.norm import batch_norm
from jaxnext.models.pointwise_norm import pays, pointwise_norm

EPS = 1e-5
ROWS, WHOLE = PartitionSpec("batch"), PartitionSpec()
MASK = np.array([True, False, True, True, True, False, False, True])
CHANNELS, FEATURES = 3, 5


def arrays(size: int) -> tuple[np.ndarray, ...]:
    """Rows that do not count are zero, in the input and in the gradient."""
    random = np.random.default_rng(0)
    counts = MASK[:, None, None, None]
    x = np.maximum(1 + random.normal(size=(8, size, size, CHANNELS)), 0) * counts
    residual, cotangent = random.normal(size=(2, 8, size, size, FEATURES))
    kernel, (scale, bias) = random.normal(size=(CHANNELS, FEATURES)), 1 + random.normal(size=(2, FEATURES))
    return x, kernel, scale, bias, residual, cotangent * counts


def gradients(compute: Any, *args: Any, mask: Any, axis: Any) -> Any:
    *given, residual, cotangent = args

    def loss(x: Any, kernel: Any, scale: Any, bias: Any, residual: Any) -> Any:
        y, stats = compute(x, kernel, scale, bias, mask, residual, axis)
        return (y.astype(scale.dtype) * cotangent).sum(), (y, stats)

    found, (y, stats) = jax.grad(loss, (0, 1, 2, 3, 4), has_aux=True)(*given, residual)
    dx, *parameters, dresidual = found
    return (dx, dresidual, y), (parameters if axis is None else jax.lax.psum(parameters, axis), stats)


def parts(relu: bool) -> Any:
    def compute(x: Any, kernel: Any, scale: Any, bias: Any, mask: Any, residual: Any, axis: Any) -> Any:
        y, stats = batch_norm(x @ kernel, scale, bias, mask, EPS, axis)  # pyright: ignore[reportGeneralTypeIssues]
        y = y if residual is None else y + residual
        return (jnp.where(y > 0, y, 0) if relu else y), stats

    return compute


def at_once(relu: bool) -> Any:
    def compute(x: Any, kernel: Any, scale: Any, bias: Any, mask: Any, residual: Any, axis: Any) -> Any:
        return pointwise_norm(x, kernel, scale, bias, mask, EPS, axis, relu, residual)

    return compute


@pytest.mark.parametrize("devices", [1, 4])
@pytest.mark.parametrize(("relu", "added"), [(True, True), (False, False)])
def test_it_is_the_parts_in_the_rows_that_count(relu: bool, added: bool, devices: int) -> None:
    with jax.enable_x64(True):
        x, kernel, scale, bias, residual, cotangent = arrays(2)
        args = (x, kernel, scale, bias, residual if added else None, cotangent)
        expected = jax.jit(lambda *args: gradients(parts(relu), *args, mask=MASK, axis=None))(*args)
        mesh = Mesh(np.array(jax.devices()[:devices]), ("batch",))

        def on_each(mask: Any, *args: Any) -> Any:
            return gradients(at_once(relu), *args, mask=mask, axis="batch")

        specs = (ROWS, ROWS, WHOLE, WHOLE, WHOLE, ROWS, ROWS)
        over = jax.jit(jax.shard_map(on_each, mesh=mesh, check_vma=False, in_specs=specs, out_specs=(ROWS, WHOLE)))
        found, expected = jax.device_get((over(MASK, *args), expected))
    assert found[1][1][2] == 5 * 4
    counting = [[each[MASK] for each in jax.tree.leaves(rows)] for rows in (found[0], expected[0])]
    pairs = [*zip(*counting, strict=True)]
    pairs += [*zip(jax.tree.leaves(found[1]), jax.tree.leaves(expected[1]), strict=True)]
    assert len(pairs) == 2 + added + 6
    for result, right in pairs:
        assert relative_error(result, right) <= FLOAT64_OPERATION


def test_bfloat16_is_no_further_from_float64_than_its_parts() -> None:
    given = [np.asarray(jnp.asarray(each, jnp.bfloat16)).astype(np.float64) for each in arrays(16)]

    def run(compute: Any, low: Any, wide: Any) -> Any:
        x, kernel, scale, bias, residual, cotangent = given
        args = x.astype(low), kernel.astype(low), scale.astype(wide), bias.astype(wide), residual.astype(low)
        return jax.jit(lambda *args: gradients(compute, *args, mask=MASK, axis=None))(*args, cotangent.astype(low))

    # Without the ReLU: a value near zero that is let through by one and not by the other is a large error.
    found, one_by_one = (run(compute(False), jnp.bfloat16, np.float32) for compute in (at_once, parts))
    with jax.enable_x64(True):
        exact = jax.device_get(run(parts(False), np.float64, np.float64))
    counts = MASK[:, None, None, None]

    def error(result: Any, right: Any) -> float:
        result, right = np.asarray(result).astype(np.float64), np.asarray(right)
        if result.ndim == 4:
            result, right = result * counts, right * counts
        return float(np.linalg.norm(result - right) / np.linalg.norm(right))

    for mine, theirs, right in zip(*map(jax.tree.leaves, (found, one_by_one, exact)), strict=True):
        assert error(mine, right) <= max(error(theirs, right), BFLOAT16_OPERATION)


def test_where_it_pays() -> None:
    found = [
        pays(64 * 56 * 56, 128, 256, "bfloat16"),
        pays(64 * 56 * 56, 256, 128, "bfloat16"),
        pays(64 * 7 * 7, 1024, 2048, "bfloat16"),
        pays(64 * 56 * 56, 128, 256, "float32"),
    ]
    assert found == [True, False, False, False]
