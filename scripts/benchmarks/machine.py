"""The machine that is measured: what it is, how both sides use it, and its ceilings, matrix products and copies."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.timing import Candidate, measure_in_turn
from jaxnext.errors import JaxnextError
from jaxnext.ops.cpu.allocator import keep_freed_memory

MATMUL_SIZES = {"cpu": (1024, 2048), "gpu": (4096, 8192, 16384)}
"""Square matrices of these many rows are tried; the best counts."""
COPY_BYTES = {"cpu": 2**28, "gpu": 2**30}
_ROUNDS = 5
_PACKAGES = (
    *("jax", "jaxlib", "flax", "optax", "grain", "numpy", "pillow", "simplejpeg"),
    *("torch", "torchvision", "timm", "triton"),
)


def cores() -> int:
    """Return the processor cores that this process may use; JAX takes as many threads, and so must PyTorch."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare() -> None:
    """Keep freed memory as training does; PyTorch has it, too, as they share the process."""
    keep_freed_memory(os.environ.get("JAX_PLATFORMS"))


def prepare_torch(torch: Any) -> str:
    """Set PyTorch up: the threads that JAX has, float32 without TF32, cuDNN's fastest algorithms.

    Returns:
        the name of the kind of device that JAX runs on, ``cpu`` or ``cuda``.

    Raises:
        JaxnextError: PyTorch cannot run there.
    """
    torch.set_num_threads(cores())
    torch.manual_seed(0)
    backend = jax.default_backend()
    if backend == "cpu":
        return "cpu"
    if backend != "gpu" or not torch.cuda.is_available():
        raise JaxnextError(
            f"jax runs on a {backend} that torch {torch.__version__} cannot use; install a build of torch that can, "
            "or measure the CPU with JAX_PLATFORMS=cpu"
        )
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    return "cuda"


def waiter(torch: Any, device: str) -> Callable[[Any], None]:
    """Return what waits for PyTorch's calls so far; on a CPU each is done when it returns."""
    return (lambda _: torch.cuda.synchronize()) if device == "cuda" else (lambda _: None)


def jax_candidate(name: str, call: Callable[[], Any], facts: dict[str, Any] | None = None) -> Candidate:
    """Return a candidate of JAX's arrays.

    On a CPU every call is waited for: JAX might run two that do not depend on each other side by side. A GPU's queue is
    filled, as in training.
    """
    if jax.default_backend() == "cpu":
        return Candidate(name, lambda: jax.block_until_ready(call()), lambda handle: None, facts or {})
    return Candidate(name, call, jax.block_until_ready, facts or {})


def compiled_bytes(compiled: Any) -> int | None:
    """Return the bytes that a compiled function needs: arguments, results, temporaries; donated ones count once."""
    stats = compiled.memory_analysis()
    if stats is None:
        return None
    needed = stats.argument_size_in_bytes + stats.output_size_in_bytes + stats.temp_size_in_bytes
    return int(needed - stats.alias_size_in_bytes)


def device_peak_bytes() -> int | None:
    """Return the most bytes that JAX has had in use on its device so far; ``None`` on a CPU, which does not count."""
    stats = jax.local_devices()[0].memory_stats()
    return int(stats["peak_bytes_in_use"]) if stats and "peak_bytes_in_use" in stats else None


def ceilings(torch: Any, device: str, precision: str) -> dict[str, float]:
    """Return the best of several sizes: FLOP/s of each side's matrix product, and bytes a second of a copy.

    Args:
        torch: the module; ``None``: its product is left out.
        device: PyTorch's name of its device.
        precision: dtype of the matrices; float32 is multiplied as such, never in TF32.
    """
    kind = jax.default_backend()
    sizes = MATMUL_SIZES[kind]
    found = {"jax_matmul_flops_per_second": _matmul_peak(sizes, lambda n: _jax_product(n, precision))}
    if torch is not None:
        peak = _matmul_peak(sizes, lambda n: _torch_product(torch, device, n, precision))
        found["torch_matmul_flops_per_second"] = peak
    return found | {"copy_bytes_per_second": _copy_rate(COPY_BYTES[kind])}


def describe() -> dict[str, Any]:
    """Return processor, cores that may be used, GPU, driver and versions; ``None`` for what is not there."""
    gpu = jax.default_backend() == "gpu"
    return {
        "cpu": cpu_name(Path("/proc/cpuinfo")),
        "cores": cores(),
        "gpu": jax.devices()[0].device_kind if gpu else None,
        "driver": _driver() if gpu else None,
        "system": platform.platform(),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES},
    }


def cpu_name(cpuinfo: Path) -> str:
    """Return the processor's name as Linux's ``/proc/cpuinfo`` has it, elsewhere what Python knows of it."""
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _matmul_peak(sizes: Sequence[int], product: Callable[[int], Candidate]) -> float:
    return max(2 * size**3 / measure_in_turn([product(size)], _ROUNDS)["product"].least for size in sizes)


def _jax_product(size: int, precision: str) -> Candidate:
    matrices = np.random.default_rng(0).standard_normal((2, size, size), np.float32)
    a, b = (jax.device_put(jnp.asarray(matrix, precision)) for matrix in matrices)
    compiled = jax.jit(lambda a, b: jnp.dot(a, b, precision=jax.lax.Precision.HIGHEST)).lower(a, b).compile()
    return jax_candidate("product", lambda: compiled(a, b))


def _torch_product(torch: Any, device: str, size: int, precision: str) -> Candidate:
    a, b = torch.randn(2, size, size, device=device).to(getattr(torch, precision))
    return Candidate("product", lambda: a @ b, waiter(torch, device))


def _copy_rate(size: int) -> float:
    # Negated on the way, so that the copy is an operation of its own that uses every thread: read once, written once.
    x = jnp.ones(size // 4, jnp.float32)
    compiled = jax.jit(jnp.negative).lower(x).compile()
    return 2 * size / measure_in_turn([jax_candidate("copy", lambda: compiled(x))], _ROUNDS)["copy"].least


def _driver() -> str | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return None
    return found[0] if found else None
