from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from jaxnext.ops.collectives import psum, psum_always


def over(devices: int, total: Callable[..., Any] = psum):
    mesh = Mesh(np.array(jax.devices()[:devices]), ("batch",))
    share = PartitionSpec("batch")
    return jax.jit(jax.shard_map(lambda x: total({"a": x}, "batch"), mesh=mesh, in_specs=share, out_specs=share))


@pytest.mark.parametrize(("devices", "expected"), [(1, [1, 2, 3, 4]), (2, [4, 6, 4, 6]), (4, [10, 10, 10, 10])])
def test_sums_over_devices(devices: int, expected: list[int]) -> None:
    assert over(devices)(jnp.arange(1.0, 5.0))["a"].tolist() == expected


@pytest.mark.parametrize(("devices", "count"), [(1, 0), (2, 1)])
def test_one_device_sums_nothing(devices: int, count: int) -> None:
    assert over(devices).lower(jnp.zeros(4)).as_text().count("all_reduce") == count


@pytest.mark.parametrize(("devices", "expected"), [(1, [1, 2, 3, 4]), (2, [4, 6, 4, 6])])
def test_sums_that_are_always_there(devices: int, expected: list[int]) -> None:
    summed = over(devices, psum_always)
    assert summed(jnp.arange(1.0, 5.0))["a"].tolist() == expected
    assert summed.lower(jnp.zeros(4)).as_text().count("all_reduce") == 1


def test_without_an_axis() -> None:
    assert psum((1, 2), None) == psum_always((1, 2), None) == (1, 2)
