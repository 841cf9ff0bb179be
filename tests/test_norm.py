from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import Mesh, PartitionSpec
from tolerances import FLOAT32_VARIANCE, FLOAT64_OPERATION
from torch_ported import relative_error, to_numpy, to_torch
from torch_reference import require

from jaxnext.models.norm import BatchNorm, batch_norm

EPS = 1e-5


def fresh(features: int, dtype: Any = jnp.float32) -> dict[str, Any]:
    stats = {"mean": jnp.zeros(features, dtype), "var": jnp.ones(features, dtype), "num_batches_tracked": jnp.int32(0)}
    return {
        "params": {"scale": jnp.ones(features, dtype), "bias": jnp.zeros(features, dtype)},
        "batch_stats": stats,
    }


def train(
    variables: dict[str, Any], x: Any, mask: Any = None, momentum: float = 0.1
) -> tuple[jax.Array, dict[str, jax.Array]]:
    module = BatchNorm(momentum=momentum, param_dtype=variables["params"]["scale"].dtype)
    y, updated = module.apply(variables, x, train=True, mask=mask, mutable=["batch_stats"])
    return y, updated["batch_stats"]


def plain(x: jax.Array, scale: jax.Array, bias: jax.Array, mask: jax.Array) -> jax.Array:
    """The definition, for autodiff: mean and biased variance over the rows that count; the others become zero."""
    rows = jnp.broadcast_to(mask.reshape(-1, *[1] * (x.ndim - 1)), x.shape)
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes, where=rows, keepdims=True)
    var = ((x - mean) ** 2).mean(axes, where=rows, keepdims=True)
    scale, bias = (jnp.broadcast_to(each, x.shape) for each in (scale, bias))
    return jnp.where(rows, (x - mean) / jnp.sqrt(var + EPS) * scale + bias, 0)


@jax.jit
def gradients_by_hand(x: Any, scale: Any, bias: Any, mask: Any, cotangent: Any) -> tuple[jax.Array, ...]:
    y, pullback = jax.vjp(lambda *args: batch_norm(*args, mask, EPS, None)[0], x, scale, bias)
    return y, *pullback(cotangent)


@jax.jit
def gradients_by_autodiff(x: Any, scale: Any, bias: Any, mask: Any, cotangent: Any) -> tuple[jax.Array, ...]:
    y, pullback = jax.vjp(lambda *args: plain(*args, mask), x, scale, bias)
    return y, *pullback(cotangent)


# ---- outputs and running statistics, by hand ----


def test_variables_of_a_new_layer() -> None:
    variables = BatchNorm().init(jax.random.key(0), jnp.full((4, 2), 7.0), train=True)
    assert jax.tree.map(lambda leaf: (leaf.dtype.name, leaf.tolist()), variables) == {
        "params": {"scale": ("float32", [1, 1]), "bias": ("float32", [0, 0])},
        "batch_stats": {"mean": ("float32", [0, 0]), "var": ("float32", [1, 1]), "num_batches_tracked": ("int32", 0)},
    }


def test_evaluation_uses_the_running_statistics_and_leaves_them() -> None:
    variables = {
        "params": {"scale": jnp.array([2.0, 1.0]), "bias": jnp.array([1.0, -1.0])},
        "batch_stats": {"mean": jnp.array([3.0, 0.0]), "var": jnp.array([4.0, 0.25]), "num_batches_tracked": 5},
    }
    y, updated = BatchNorm(eps=0.0).apply(variables, jnp.array([[5.0, 1.0]]), train=False, mutable=["batch_stats"])
    np.testing.assert_allclose(y, [[3.0, 1.0]], rtol=1e-6)
    assert jax.tree.map(np.array_equal, updated["batch_stats"], variables["batch_stats"]) == {
        "mean": True,
        "var": True,
        "num_batches_tracked": True,
    }


def test_training_normalises_with_the_biased_and_stores_the_unbiased_variance() -> None:
    y, stats = train(fresh(2), jnp.array([[1.0, 10.0], [3.0, 14.0]]))
    one, two = 1 / np.sqrt(1 + EPS), 2 / np.sqrt(4 + EPS)
    np.testing.assert_allclose(y, [[-one, -two], [one, two]], rtol=1e-6)
    np.testing.assert_allclose(stats["mean"], [0.2, 1.2], rtol=1e-6)
    np.testing.assert_allclose(stats["var"], [0.9 + 0.1 * 2, 0.9 + 0.1 * 8], rtol=1e-6)
    assert stats["num_batches_tracked"] == 1


def test_momentum_is_the_weight_of_the_new_batch() -> None:
    variables = fresh(1)
    _, stats = train(variables, jnp.array([[1.0], [3.0]]), momentum=1.0)
    assert (stats["mean"].tolist(), stats["var"].tolist()) == ([2], [2])
    _, stats = train({**variables, "batch_stats": stats}, jnp.array([[7.0], [9.0]]), momentum=0.25)
    assert (stats["mean"].tolist(), stats["var"].tolist()) == ([0.75 * 2 + 0.25 * 8], [2])
    assert stats["num_batches_tracked"] == 2


def test_all_positions_of_an_image_count() -> None:
    x = jnp.arange(4.0).reshape(1, 2, 2, 1)
    _, stats = train(fresh(1), x, momentum=1.0)
    np.testing.assert_allclose((stats["mean"][0], stats["var"][0]), (1.5, 5 / 3), rtol=1e-6)


@pytest.mark.parametrize("shape", [(3, 2), (3, 2, 1, 2)])
def test_what_overflows_in_a_padded_row_reaches_no_other(shape: tuple[int, ...]) -> None:
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    mask, cotangent, ones = np.array([True, False, True]), np.ones(shape, np.float32), np.ones(2, np.float32)
    cotangent[0], cotangent[1] = 2, np.nan
    fine = gradients_by_hand(x, ones, ones, mask, cotangent)
    x[1] = np.inf
    found = gradients_by_hand(x, ones, ones, mask, cotangent)
    for each, expected in zip(found, fine, strict=True):
        assert each.tolist() == expected.tolist()
    assert found[0][1].tolist() == found[1][1].tolist() == np.zeros(shape[1:]).tolist()


@pytest.mark.parametrize("mask", [None, [False, True, False]])
def test_a_batch_of_one_leaves_the_running_variance(mask: list[bool] | None) -> None:
    x = jnp.array([[5.0, 7.0]]) if mask is None else jnp.array([[1.0, 2.0], [5.0, 7.0], [3.0, 4.0]])
    y, stats = train(fresh(2), x, None if mask is None else jnp.array(mask))
    np.testing.assert_allclose(y[0 if mask is None else 1], [0, 0], atol=1e-3)
    np.testing.assert_allclose(stats["mean"], [0.5, 0.7], rtol=1e-6)
    assert stats["var"].tolist() == [1, 1]
    assert stats["num_batches_tracked"] == 1


def test_a_batch_of_padding_leaves_mean_and_variance() -> None:
    y, stats = train(fresh(1), jnp.array([[5.0], [6.0]]), jnp.array([False, False]))
    assert jnp.isfinite(y).all()
    assert (stats["mean"].tolist(), stats["var"].tolist()) == ([0], [1])


def test_bfloat16_is_normalised_with_float32_statistics() -> None:
    # Steps of 1 around 256, where bfloat16 has steps of 2: a sum in bfloat16 would be far off.
    x = jnp.array([250.0, 252.0, 254.0, 256.0] * 1000, jnp.bfloat16).reshape(-1, 1)
    y, stats = train(fresh(1), x, momentum=1.0)
    assert (y.dtype, stats["mean"].dtype, stats["var"].dtype) == (jnp.bfloat16, jnp.float32, jnp.float32)
    np.testing.assert_allclose(stats["mean"], [253], rtol=1e-6)
    np.testing.assert_allclose(stats["var"], [5 * 4000 / 3999], rtol=1e-4)
    np.testing.assert_allclose(np.float32(y[:4, 0]), np.array([-3, -1, 1, 3]) / np.sqrt(5), rtol=1e-2)


@pytest.mark.parametrize("shape", [(64, 16, 16, 2), (8, 64)])
@pytest.mark.parametrize("mean", [0.5, 30, -1e4])
def test_variance_in_float32_of_a_fresh_layer(mean: float, shape: tuple[int, ...]) -> None:
    x = (mean + np.random.default_rng(0).normal(size=shape)).astype(np.float32)
    _, stats = train(fresh(shape[-1]), jnp.asarray(x), momentum=1.0)
    exact = x.astype(np.float64).var(tuple(range(x.ndim - 1)), ddof=1)
    assert relative_error(stats["var"], exact) <= FLOAT32_VARIANCE


def test_variance_in_float32_with_an_outlier_among_the_values_that_give_the_shift() -> None:
    x = np.random.default_rng(0).normal(size=(8, 16, 16, 4)).astype(np.float32)
    x[:, 6, 6] += 1000
    _, stats = train(fresh(4), jnp.asarray(x), momentum=1.0)
    assert relative_error(stats["var"], x.astype(np.float64).var((0, 1, 2), ddof=1)) <= FLOAT32_VARIANCE


# ---- padding ----


def test_padded_rows_change_nothing() -> None:
    rng = np.random.default_rng(0)
    x, cotangent = rng.normal(size=(5, 3, 2, 4)), rng.normal(size=(5, 3, 2, 4))
    mask = np.array([True, False, True, True, False])

    with jax.enable_x64(True):
        variables = fresh(4, jnp.float64)

        def loss(params: Any, x: jax.Array, cotangent: Any, mask: Any) -> tuple[jax.Array, Any]:
            y, stats = train({**variables, "params": params}, x, mask)
            return (y * cotangent).sum(), (y, stats)

        differentiate = jax.jit(jax.grad(loss, (0, 1), has_aux=True))
        zeroed = np.where(mask[:, None, None, None], cotangent, 0)
        (dparams, dx), (y, stats) = differentiate(variables["params"], x, zeroed, mask)
        (dparams2, dx2), (y2, stats2) = differentiate(variables["params"], x[mask], cotangent[mask], None)
    assert relative_error(y[mask], y2) <= FLOAT64_OPERATION
    assert relative_error(dx[mask], dx2) <= FLOAT64_OPERATION
    assert np.abs(dx[~mask]).max() == 0
    for name in ("scale", "bias"):
        assert relative_error(dparams[name], dparams2[name]) <= FLOAT64_OPERATION
    for name in ("mean", "var"):
        assert relative_error(stats[name], stats2[name]) <= FLOAT64_OPERATION


# ---- the gradient written by hand ----


@settings(max_examples=10, deadline=None)
@given(
    shape=st.sampled_from([(2, 3), (6, 1), (5, 2, 3, 4)]),
    seed=st.integers(0, 2**32 - 1),
    mean=st.sampled_from([0.0, 2.0, -90.0]),
    padded=st.booleans(),
)
def test_the_gradient_is_that_of_the_definition(shape: tuple[int, ...], seed: int, mean: float, padded: bool) -> None:
    rng = np.random.default_rng(seed)
    x, cotangent = mean + 3 * rng.normal(size=shape), rng.normal(size=shape)
    scale, bias = rng.normal(size=shape[-1]), rng.normal(size=shape[-1])
    mask = np.ones(shape[0], bool)
    if padded:
        mask[: shape[0] // 3] = False
    with jax.enable_x64(True):
        results = gradients_by_hand(x, scale, bias, mask, cotangent)
        expected = gradients_by_autodiff(x, scale, bias, mask, cotangent)
        # The cotangent of padded rows is not zero here: their output depends on the others' statistics.
        for result, right in zip(results, expected, strict=True):
            # Of two rows hardly any gradient is left, and its rounding is that of the terms that cancel.
            assert np.abs(result - right).max() <= FLOAT64_OPERATION * max(np.abs(right).max(), 1)


# ---- devices ----


@pytest.mark.parametrize("devices", [2, 4])
def test_devices_share_the_statistics(devices: int) -> None:
    rng = np.random.default_rng(0)
    x, cotangent = rng.normal(size=(8, 2, 3, 4)), rng.normal(size=(8, 2, 3, 4))
    mask = np.array([True, True, True, False, True, True, False, False])  # One device of four has no row that counts.
    split, whole = PartitionSpec("batch"), PartitionSpec()

    def loss(params: Any, stats: Any, x: Any, mask: Any, cotangent: Any, axis_name: str | None) -> Any:
        module = BatchNorm(axis_name=axis_name, param_dtype=jnp.dtype("float64"))
        variables = {"params": params, "batch_stats": stats}
        y, updated = module.apply(variables, x, train=True, mask=mask, mutable=["batch_stats"])
        return (y * cotangent).sum(), (y, updated["batch_stats"])

    differentiate = jax.grad(loss, (0, 2), has_aux=True)

    def on_each(*args: Any) -> Any:
        (dparams, dx), (y, stats) = differentiate(*args, "batch")
        return jax.lax.psum(dparams, "batch"), dx, y, stats

    with jax.enable_x64(True):
        variables = fresh(4, jnp.float64)
        args = (variables["params"], variables["batch_stats"], x, mask, cotangent)
        (dparams, dx), (y, stats) = jax.jit(differentiate, static_argnums=5)(*args, None)
        mesh = Mesh(np.array(jax.devices()[:devices]), ("batch",))
        specs = {"in_specs": (whole, whole, split, split, split), "out_specs": (whole, split, split, whole)}
        found = jax.jit(jax.shard_map(on_each, mesh=mesh, check_vma=False, **specs))(*args)
    expected = (dparams, dx, y, stats)
    for result, right in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert relative_error(result, right) <= FLOAT64_OPERATION


# ---- PyTorch ----


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(8, 5), (8, 3, 2, 5)])
def test_equals_pytorch(shape: tuple[int, ...]) -> None:
    torch, _ = require()
    rng = np.random.default_rng(0)
    layer = (torch.nn.BatchNorm2d if len(shape) == 4 else torch.nn.BatchNorm1d)(5).double()
    scale, bias, mean = rng.normal(size=(3, 5))
    var = rng.random(5) + 0.5
    for tensor, value in zip(
        (layer.weight, layer.bias, layer.running_mean, layer.running_var), (scale, bias, mean, var), strict=True
    ):
        tensor.data.copy_(torch.from_numpy(value))
    x, cotangent = 3 + rng.normal(size=shape), rng.normal(size=shape)

    def tensor_of(array: np.ndarray) -> Any:
        return to_torch(array) if array.ndim == 4 else torch.from_numpy(array)

    tensor = tensor_of(x).requires_grad_()
    expected = layer(tensor)
    expected.backward(tensor_of(cotangent))
    right = [to_numpy(t) for t in (expected, tensor.grad, layer.weight.grad, layer.bias.grad)]
    right += [to_numpy(layer.running_mean), to_numpy(layer.running_var), to_numpy(layer.eval()(tensor))]

    with jax.enable_x64(True):
        stats = {"mean": jnp.array(mean), "var": jnp.array(var), "num_batches_tracked": jnp.int32(0)}

        def run(x: jax.Array, scale: jax.Array, bias: jax.Array) -> Any:
            return train({"params": {"scale": scale, "bias": bias}, "batch_stats": stats}, x)

        y, pullback, after = jax.vjp(run, jnp.array(x), jnp.array(scale), jnp.array(bias), has_aux=True)
        variables = {"params": {"scale": jnp.array(scale), "bias": jnp.array(bias)}, "batch_stats": after}
        evaluated = BatchNorm(param_dtype=jnp.dtype("float64")).apply(variables, jnp.array(x), train=False)
        found = [y, *pullback(jnp.array(cotangent)), after["mean"], after["var"], evaluated]
    for result, value in zip(found, right, strict=True):
        assert relative_error(result, value) <= FLOAT64_OPERATION
    assert after["num_batches_tracked"] == layer.num_batches_tracked.item() == 1


@pytest.mark.parametrize("shape", [(8, 12, 12, 16), (32, 16)])
@pytest.mark.parametrize("ratio", [1, 100, 1_000, 10_000])
def test_float32_error_of_a_fresh_layer_is_at_most_twice_pytorchs(ratio: int, shape: tuple[int, ...]) -> None:
    """Of outputs and of the input's gradient, against float64, where the mean is many deviations from zero."""
    torch, _ = require()
    rng = np.random.default_rng(ratio)
    x, cotangent = ((ratio * place + rng.normal(size=shape)).astype(np.float32) for place in (1, 0))
    layer = (torch.nn.BatchNorm2d if len(shape) == 4 else torch.nn.BatchNorm1d)(shape[-1])

    def errors(y: Any, dx: Any) -> list[float]:
        return [float(np.abs(found - right).max()) for found, right in zip((y, dx), exact, strict=True)]

    def pytorch(layer: Any, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
        arrays = [torch.from_numpy(np.moveaxis(array, -1, 1).copy()).to(dtype) for array in (x, cotangent)]
        y = layer(arrays[0].requires_grad_())
        y.backward(arrays[1])
        return tuple(np.moveaxis(tensor.detach().numpy(), 1, -1) for tensor in (y, arrays[0].grad))

    theirs, exact = pytorch(layer, torch.float32), pytorch(layer.double(), torch.float64)
    ones, mask = np.ones(shape[-1], np.float32), np.ones(shape[0], bool)
    y, dx, _, _ = gradients_by_hand(x, ones, 0 * ones, mask, cotangent)
    for found, allowed in zip(errors(y, dx), errors(*theirs), strict=True):
        assert found <= 2 * allowed
