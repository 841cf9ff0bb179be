from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import FLOAT64_OPERATION

from jaxnext.engine import parallel, steps
from jaxnext.engine.recalibration import averaged, blank, farthest, sown_moments
from jaxnext.engine.state import Batch
from jaxnext.models.norm import BatchNorm


class Net(nn.Module):
    """A norm on the mean colours of images."""

    axis_name: str | None = None
    dtype: Any = jnp.float64
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.25, 0.25, 0.25)

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, mask: jax.Array | None = None) -> jax.Array:
        norm = BatchNorm(axis_name=self.axis_name, param_dtype=jnp.dtype("float64"), name="norm")
        return norm(x.mean((1, 2)), train=train, mask=mask)


def batches() -> list[tuple[np.ndarray, np.ndarray]]:
    """Three batches of 8 rows, of which the last has 5 that count."""
    random = np.random.default_rng(0)
    found = [(random.integers(0, 256, (8, 2, 2, 3), np.uint8), np.ones(8, bool)) for _ in range(3)]
    found[-1][1][5:] = False
    return found


def recalibrated(devices: int) -> dict[str, Any]:
    with jax.enable_x64(True):
        mesh = parallel.mesh_of(jax.devices()[:devices])
        model: Any = Net(parallel.AXIS)
        variables = Net().init(jax.random.key(0), jnp.zeros((1, 2, 2, 3)), train=False)
        statistics = jax.tree.map(lambda leaf: leaf + 3, variables["batch_stats"])
        found: Any = {"params": variables["params"], "batch_stats": blank(statistics, set())}
        step = steps.compile_recalibration_step(model, mesh)
        for images, mask in batches():
            batch: Any = Batch(images, np.zeros(8, np.int32), mask)  # pyright: ignore[reportArgumentType]
            found["batch_stats"], sums = step(found, parallel.split_batch(batch, mesh))
            assert int(sums["count"]) == mask.sum()
        return jax.tree.map(np.asarray, found["batch_stats"]["norm"])


def test_statistics_are_those_of_update_bn_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    norm = torch.nn.BatchNorm1d(3).double()
    net = torch.nn.Sequential(norm)
    pixels = [(images[mask].mean((1, 2)) / 255 - 0.5) / 0.25 for images, mask in batches()]
    torch.optim.swa_utils.update_bn([torch.from_numpy(rows) for rows in pixels], net)
    found = recalibrated(1)
    np.testing.assert_allclose(found["mean"], norm.running_mean.numpy(), rtol=FLOAT64_OPERATION)
    np.testing.assert_allclose(found["var"], norm.running_var.numpy(), rtol=FLOAT64_OPERATION)
    assert found["num_batches_tracked"] == int(norm.num_batches_tracked) == 3


@pytest.mark.parametrize("devices", [2, 4])
def test_devices_do_not_matter(devices: int) -> None:
    for name, leaf in recalibrated(devices).items():
        np.testing.assert_allclose(leaf, recalibrated(1)[name], rtol=FLOAT64_OPERATION)


def test_batches_count_alike_and_one_without_an_image_not_at_all() -> None:
    statistics: Any = blank(
        {"norm": {"mean": np.ones(1), "var": np.ones(1), "num_batches_tracked": np.int32(9)}}, set()
    )
    for mean, var, count in ((2.0, 4.0, 8), (9.0, 9.0, 0), (4.0, 8.0, 2)):
        moments = (jnp.array([mean]), jnp.array([var]), jnp.array(float(count)))
        statistics = averaged(statistics, {"norm": {"moments": (moments,)}})
    assert jax.tree.map(lambda leaf: np.ravel(leaf).tolist(), statistics["norm"]) == {
        "mean": [3.0],
        "var": [6.0],
        "num_batches_tracked": [2],
    }


def test_statistics_of_parts_that_are_not_trained_stay() -> None:
    statistics = {"stem": {"mean": np.full(2, 5.0), "var": np.full(2, 6.0)}, "norm": {"mean": np.full(2, 7.0)}}
    found = blank(statistics, {("stem", "mean"), ("stem", "var")})
    assert jax.tree.map(np.ndarray.tolist, found) == {
        "stem": {"mean": [5.0, 5.0], "var": [6.0, 6.0]},
        "norm": {"mean": [0.0, 0.0]},
    }


def test_a_network_without_norms_sows_nothing() -> None:
    class Plain(nn.Module):
        def __call__(self, x: jax.Array, *, train: bool, mask: jax.Array | None = None) -> jax.Array:
            return x

    assert sown_moments(Plain(), {}, jnp.zeros((1, 2)), jnp.ones(1, bool)) == {}


def test_the_farthest_norm_is_named() -> None:
    def statistics(mean: float, var: float) -> dict[str, np.ndarray]:
        return {"mean": np.array([mean, 0.0]), "var": np.array([var, 1.0])}

    running = {"a": statistics(0.0, 1.0), "b": statistics(0.0, 1.0)}
    # A difference of 2 is one deviation of 2, in one of two channels.
    found = farthest(running, {"a": statistics(0.0, 1.0), "b": statistics(2.0, 4.0)}, eps=0.0)
    assert found is not None
    assert found.norm == "b"
    assert found.deviations == pytest.approx(0.5**0.5)
    # A deviation e times as large is 1 away.
    found = farthest(running, {"a": statistics(0.0, np.e**2)}, eps=0.0)
    assert found is not None
    assert found.norm == "a"
    assert found.deviations == pytest.approx(0.5**0.5)
    assert farthest({}, {}) is None
