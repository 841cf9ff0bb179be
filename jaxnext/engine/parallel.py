"""The devices that share a batch: the mesh over them, arrays onto them, functions compiled for them.

A function runs on every device over its share of the batch under ``jax.shard_map``. Sharding annotations alone would
not do: XLA's partitioner gathers the whole batch on every device before a grouped convolution (openxla/xla#47945).
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import DTypeLike

from jaxnext import compat
from jaxnext.ops.cpu import onednn

AXIS = "batch"
"""The one axis of the mesh: the batch is split over all devices."""

GPUS = ("gpu", "cuda", "rocm")
"""What JAX calls the platform of a GPU: that of a device, and that of a description of one."""

Device = Any
"""``jax.Device``, which type checkers take for a variable."""


def mesh_of(devices: Sequence[Device]) -> Mesh:
    """Return the one-axis mesh over these devices."""
    return Mesh(np.array(list(devices)), (AXIS,))


def round_up(batch_size: int, mesh: Mesh) -> int:
    """Return the smallest number of rows, at least ``batch_size``, that the devices divide."""
    return -(-batch_size // mesh.size) * mesh.size


def own_rows(rows: int, mesh: Mesh) -> range:
    """Return those of the rows of a global batch that this process's devices hold.

    Args:
        rows: of the global batch, a multiple of the number of devices.
        mesh: in which the devices of each process stand side by side.
    """
    devices, share = list(mesh.devices.flat), rows // mesh.size
    places = [devices.index(device) for device in mesh.local_devices]
    if places != list(range(places[0], places[0] + len(places))):
        raise ValueError(f"expected the devices of a process side by side, found {devices}")
    return range(places[0] * share, (places[-1] + 1) * share)


def split_batch(tree: Any, mesh: Mesh) -> Any:
    """Put host arrays onto the devices, split along the leading axis, which the devices must divide.

    In a run of several processes each gives its own rows.
    """
    sharding = NamedSharding(mesh, PartitionSpec(AXIS))
    if not mesh.is_multi_process:
        return jax.device_put(tree, sharding)
    own = len(mesh.local_devices)

    def whole(rows: np.ndarray) -> jax.Array:
        shape = (len(rows) // own * mesh.size, *rows.shape[1:])
        return jax.make_array_from_process_local_data(sharding, rows, shape)

    return jax.tree.map(whole, tree)


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Put the same arrays on every device; of several processes each must give the same."""
    sharding = NamedSharding(mesh, PartitionSpec())
    if not mesh.is_multi_process:
        return jax.device_put(tree, sharding)

    # device_put would compare them across the processes, one collective operation for each array.
    def copies(leaf: Any) -> jax.Array:
        arrays = [jax.device_put(leaf, device) for device in mesh.local_devices]
        return jax.make_array_from_single_device_arrays(np.shape(leaf), sharding, arrays)

    return jax.tree.map(copies, tree)


def jit_shard_map(
    mesh: Mesh,
    function: Callable[..., Any],
    in_specs: Any,
    out_specs: Any,
    on_cpu: compat.XlaOptions = compat.XLA_ON_CPU,
    donate_argnums: int | None = None,
) -> Callable[..., Any]:
    """Run ``function`` on every device of a mesh over its share of what it is given, compiled on first call.

    Float32 products are computed in float32 on every platform.

    Args:
        mesh: from ``mesh_of``.
        function: of this device's share of each argument; may use ``AXIS``.
        in_specs: a ``PartitionSpec`` for each argument.
        out_specs: of the results.
        on_cpu: XLA's options where the mesh is of CPUs; those that this jaxlib does not know are left out.
        donate_argnums: argument that is overwritten.
    """

    @jax.default_matmul_precision("highest")
    def whole(*args: Any) -> Any:
        return jax.shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)(*args)

    whole.__name__ = function.__name__
    # The devices of a mesh for which a program is only compiled are of no process.
    on_cpus = mesh.devices.flat[0].platform == "cpu"
    options = compat.known_options(on_cpu, mesh.local_devices[0]) if on_cpus else None
    return jax.jit(whole, donate_argnums=donate_argnums, compiler_options=options)


def compiled_without(device: Device, dtype: DTypeLike) -> list[str]:
    """Say what programs for a CPU are compiled without, and why; nothing for other devices.

    Args:
        device: of this process.
        dtype: that they compute in.

    Returns:
        Of oneDNN and each of XLA's options a part of a sentence; empty where nothing is missing.
    """
    if device.platform != "cpu":
        return []
    reason = onednn.why_unavailable(dtype)
    without = [f"without oneDNN: {reason}"] if reason else []
    unknown = compat.unknown_options(compat.XLA_INFERENCE_ON_CPU, device)
    return without + [f"without XLA's option {name}, which this jaxlib does not know" for name in unknown]
