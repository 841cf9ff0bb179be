"""Machines for which a program can be compiled without them: TPU topologies, and GPUs by their description."""

import dataclasses
import re
from typing import Any

import jax
from jax.experimental import topologies

from jaxnext.errors import JaxnextError, UsageError


@dataclasses.dataclass(frozen=True)
class Chip:
    """What one device can do at most, from its maker's data sheet."""

    name: str
    flops: float
    """products a second in bfloat16, a multiply-add counting two"""
    bytes_per_second: float
    """of its memory"""
    memory: float
    """bytes"""
    link: float
    """bytes a second that it sends to its neighbours, all links together"""
    gpu: str = ""
    """of a GPU, what XLA asks its driver for; empty for a TPU"""


def _gpu(
    name: str,
    cores: int,
    capability: tuple[int, int],
    clock: float,
    bandwidth: float,
    memory: int,
    l2: int,
    shared: int,
) -> str:
    return f"""
gpu_device_info {{
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152
  shared_memory_per_core: {shared + 1024} threads_per_core_limit: 2048 core_count: {cores}
  fpus_per_core: {64 if capability[0] == 8 else 128}
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: {int(bandwidth)} l2_cache_size: {l2} clock_rate_ghz: {clock} device_memory_size: {memory}
  shared_memory_per_block_optin: {shared}
  cuda_compute_capability {{ major: {capability[0]} minor: {capability[1]} }}
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 12 patch: 0 }}
device_description_str: "{name}"
"""


_H100 = _gpu("NVIDIA H100 80GB HBM3", 132, (9, 0), 1.98, 3.35232e12, 84978434048, 52428800, 232448)
_H200 = _gpu("NVIDIA H200", 132, (9, 0), 1.98, 4.8e12, 150754820096, 52428800, 232448)
_A100 = _gpu("NVIDIA A100-SXM4-80GB", 108, (8, 0), 1.41, 2.039e12, 84987740160, 41943040, 166912)
CHIPS = {
    "v5e": Chip("TPU v5e", 197e12, 819e9, 16e9, 200e9),
    "v5p": Chip("TPU v5p", 459e12, 2765e9, 95e9, 600e9),
    "v6e": Chip("TPU v6e", 918e12, 1640e9, 32e9, 400e9),
    "h100": Chip("H100 SXM", 989e12, 3352e9, 80e9, 450e9, _H100),
    "h200": Chip("H200 SXM", 989e12, 4800e9, 141e9, 450e9, _H200),
    "a100": Chip("A100 SXM 80 GB", 312e12, 2039e9, 80e9, 300e9, _A100),
}
"""By the name in ``--target``, before its colon."""
GPU_OPTIONS = {"xla_gpu_autotune_level": 0, "xla_gpu_enable_triton_gemm": False}
"""Nothing can be tried out without the device: Triton's products need that, cuBLAS's do not."""


def chip_of(target: str) -> Chip:
    """Return the chip of a target such as ``v5e:2x2`` or ``h100:8``.

    Raises:
        UsageError: there is no such chip, or what is behind the colon is no size.
    """
    name, colon, size = target.partition(":")
    chip = CHIPS.get(name)
    if chip is None:
        raise UsageError(f"--target: expected one of {', '.join(CHIPS)}, found {target!r}")
    if not re.fullmatch(
        r"[1-9]\d*" if chip.gpu else r"[1-9]\d*(x[1-9]\d*){1,2}", size if colon or not chip.gpu else "1"
    ):
        expected = f"{name} or {name}:8" if chip.gpu else f"{name}:2x2, the chips along each axis"
        raise UsageError(f"--target: expected {expected}, found {target!r}")
    return chip


def devices(target: str) -> list[Any]:
    """Return the devices of a target, none of which can run anything.

    Raises:
        UsageError: as ``chip_of``.
        JaxnextError: the plugin that knows them is not installed, or it knows no such topology.
    """
    chip = chip_of(target)
    package = f"jax[{'cuda13' if chip.gpu else 'tpu'}]=={jax.__version__}"
    try:
        if chip.gpu:
            topology = topologies.get_topology_desc(
                topology_name=target,
                platform="cuda",
                target_config=chip.gpu,
                topology=f"1x1x{target.partition(':')[2] or 1}",
            )
        else:
            topology = topologies.get_topology_desc(platform="tpu", topology_name=target)
    except Exception as error:  # what is raised differs between plugins and versions
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise JaxnextError(
            f"--target {target}: its compiler cannot be asked ({reason}); it comes with pip install '{package}', "
            f"which needs no {'GPU and no driver' if chip.gpu else 'TPU'}"
        ) from error
    return list(topology.devices)
