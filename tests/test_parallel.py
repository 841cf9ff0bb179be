from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from jaxnext import compat
from jaxnext.engine import parallel
from jaxnext.ops.cpu import onednn


def mesh(devices: int) -> Mesh:
    return parallel.mesh_of(jax.devices()[:devices])


def test_own_rows_of_one_process_are_all():
    assert parallel.own_rows(12, mesh(4)) == range(12)


class FakeMesh(NamedTuple):
    """Devices by number, among them those of this process."""

    devices: Any
    local_devices: list[int]

    @property
    def size(self) -> int:
        return self.devices.size


@pytest.mark.parametrize(
    ("devices", "local", "rows"),
    [([0, 1, 2, 3], [0, 1], range(6)), ([0, 1, 2, 3], [2, 3], range(6, 12)), ([4, 7, 5], [7, 5], range(4, 12))],
)
def test_own_rows_of_several_processes(devices, local, rows):
    assert parallel.own_rows(12, FakeMesh(np.array(devices), local)) == rows  # pyright: ignore[reportArgumentType]


def test_own_rows_that_are_not_side_by_side():
    with pytest.raises(ValueError, match="expected the devices of a process side by side"):
        parallel.own_rows(12, FakeMesh(np.array([0, 1, 2, 3]), [0, 2]))  # pyright: ignore[reportArgumentType]


def test_round_up():
    assert [parallel.round_up(n, mesh(4)) for n in (1, 4, 5, 16)] == [4, 4, 8, 16]


def test_split_and_replicated_arrays() -> None:
    rows = np.arange(8.0).reshape(4, 2)
    split, whole = parallel.split_batch(rows, mesh(2)), parallel.replicate(rows, mesh(2))
    assert [shard.data.tolist() for shard in split.addressable_shards] == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    assert [shard.data.tolist() for shard in whole.addressable_shards] == [rows.tolist()] * 2


def test_a_function_runs_on_every_device_over_its_share() -> None:
    def doubled(x: jax.Array, factor: jax.Array) -> tuple[jax.Array, jax.Array]:
        return x * factor, jax.lax.psum(x.sum(), parallel.AXIS) + jax.lax.axis_index(parallel.AXIS) * 0

    share, all_ = PartitionSpec(parallel.AXIS), PartitionSpec()
    function = parallel.jit_shard_map(mesh(4), doubled, (share, all_), (share, all_))
    found, total = function(jnp.arange(8.0), 2.0)
    assert found.tolist() == [0, 2, 4, 6, 8, 10, 12, 14]
    assert float(total) == 28


def test_an_option_that_jaxlib_does_not_know_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "_is_known", lambda name, value, device: name != "xla_made_up")
    compiled: list[Any] = []
    monkeypatch.setattr(jax, "jit", lambda *_, compiler_options, **__: compiled.append(compiler_options))
    options = {"xla_made_up": True, **compat.XLA_ON_CPU}
    parallel.jit_shard_map(mesh(1), lambda x: x, PartitionSpec(), PartitionSpec(), options)
    assert compiled == [{"xla_cpu_enable_concurrency_optimized_scheduler": False}]


def test_what_programs_are_compiled_without_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = jax.devices()[0]
    assert parallel.compiled_without(cpu, jnp.bfloat16) == ["without oneDNN: it is used for float32, not for bfloat16"]
    monkeypatch.setattr(onednn, "why_unavailable", lambda dtype: None)
    assert parallel.compiled_without(cpu, "float32") == []
    monkeypatch.setattr(compat, "XLA_INFERENCE_ON_CPU", {"xla_made_up": True, **compat.XLA_ON_CPU})
    assert parallel.compiled_without(cpu, "float32") == [
        "without XLA's option xla_made_up, which this jaxlib does not know"
    ]
    assert parallel.compiled_without(SimpleNamespace(platform="gpu"), "float32") == []
