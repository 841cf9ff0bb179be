"""The machine that is measured: what it is, and its two ceilings, matrix products and copies."""

import platform
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxlib.version import __version__ as jaxlib_version

from benchmarks.timing import Candidate, Clock, measure_in_turn
from jaxnext.config.sections import Precision
from jaxnext.errors import JaxnextError

MATMUL_SIZES = {"cpu": (1024, 2048), "gpu": (4096, 8192, 16384)}
"""Square matrices of these many rows are tried; the best counts."""
COPY_BYTES = {"cpu": 2**28, "gpu": 2**30}
_ROUNDS = 5


def torch_device(torch: Any) -> str:
    """PyTorch's name of the kind of device that JAX runs on, ``cpu`` or ``cuda``.

    Raises:
        JaxnextError: PyTorch cannot run there.
    """
    platform_name = jax.default_backend()
    if platform_name == "cpu":
        return "cpu"
    if platform_name == "gpu" and torch.cuda.is_available():
        return "cuda"
    raise JaxnextError(
        f"jax runs on a {platform_name} that torch {torch.__version__} cannot use; install a build of torch that can, "
        "or measure the CPU with JAX_PLATFORMS=cpu"
    )


def prepare_torch(torch: Any, threads: int) -> str:
    """Settings of PyTorch's process: the threads that JAX has, float32 without TF32, cuDNN's fastest algorithms.

    Args:
        torch: the module.
        threads: of the CPU.

    Returns:
        the name of its device.
    """
    device = torch_device(torch)
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    if device == "cuda":
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
    return device


def waiter(torch: Any, device: str) -> Callable[[Any], None]:
    """Returns when PyTorch's calls so far are done; at once on a CPU, where each is when it returns."""
    return (lambda _: torch.cuda.synchronize()) if device == "cuda" else (lambda _: None)


def jax_candidate(name: str, call: Callable[[], Any]) -> Candidate:
    """A candidate of JAX's arrays.

    On a CPU every call is waited for: JAX might run two that do not depend on each other side by side. A GPU's queue is
    filled, as in training.
    """
    if jax.default_backend() == "cpu":
        return Candidate(name, lambda: jax.block_until_ready(call()), lambda handle: None)
    return Candidate(name, call, jax.block_until_ready)


def compiled_bytes(compiled: Any) -> int | None:
    """Bytes that a compiled function needs: its arguments, results and temporaries; donated arguments count once."""
    stats = compiled.memory_analysis()
    if stats is None:
        return None
    needed = stats.argument_size_in_bytes + stats.output_size_in_bytes + stats.temp_size_in_bytes
    return int(needed - stats.alias_size_in_bytes)


def device_peak_bytes() -> int | None:
    """The most bytes that JAX has had in use on its device so far; ``None`` on a CPU, which does not count them."""
    stats = jax.local_devices()[0].memory_stats()
    return int(stats["peak_bytes_in_use"]) if stats and "peak_bytes_in_use" in stats else None


def ceilings(torch: Any, device: str, precision: Precision, clock: Clock) -> dict[str, float]:
    """The best of several sizes: FLOP/s of JAX's and of PyTorch's matrix product, and bytes a second of a copy.

    Args:
        torch: the module.
        device: PyTorch's name of its device.
        precision: dtype of the matrices; float32 is multiplied as such, never in TF32.
        clock: seconds.
    """
    kind = jax.default_backend()
    sizes = MATMUL_SIZES[kind]
    return {
        "jax_matmul_flops_per_second": _matmul_peak(sizes, lambda n: _jax_product(n, precision), clock),
        "torch_matmul_flops_per_second": _matmul_peak(
            sizes, lambda n: _torch_product(torch, device, n, precision), clock
        ),
        "copy_bytes_per_second": _copy_rate(COPY_BYTES[kind], clock),
    }


def describe(cores: int) -> dict[str, Any]:
    """Processor, cores that may be used, GPU and driver; ``None`` for what is not there.

    Args:
        cores: that this process may use.
    """
    gpu = jax.default_backend() == "gpu"
    return {
        "cpu": cpu_name(Path("/proc/cpuinfo")),
        "cores": cores,
        "gpu": jax.devices()[0].device_kind if gpu else None,
        "driver": _driver() if gpu else None,
        "system": platform.platform(),
    }


def versions(torch: Any) -> dict[str, str]:
    """Versions of Python and of everything that is measured."""
    return {
        "python": platform.python_version(),
        "jax": jax.__version__,
        "jaxlib": jaxlib_version,
        "flax": flax.__version__,
        "optax": optax.__version__,
        "torch": str(torch.__version__),
    }


def cpu_name(cpuinfo: Path) -> str:
    """The processor's name as Linux's ``/proc/cpuinfo`` has it, elsewhere what Python knows of it."""
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _matmul_peak(sizes: Sequence[int], product: Callable[[int], Candidate], clock: Clock) -> float:
    best = 0.0
    for size in sizes:
        timing = measure_in_turn([product(size)], _ROUNDS, clock)["product"]
        best = max(best, 2 * size**3 / timing.least)
    return best


def _jax_product(size: int, precision: Precision) -> Candidate:
    matrices = np.random.default_rng(0).standard_normal((2, size, size), np.float32)
    a, b = (jax.device_put(jnp.asarray(matrix, precision)) for matrix in matrices)
    compiled = jax.jit(lambda a, b: jnp.dot(a, b, precision=jax.lax.Precision.HIGHEST)).lower(a, b).compile()
    return jax_candidate("product", lambda: compiled(a, b))


def _torch_product(torch: Any, device: str, size: int, precision: Precision) -> Candidate:
    a, b = torch.randn(2, size, size, device=device).to(getattr(torch, precision))
    return Candidate("product", lambda: a @ b, waiter(torch, device))


def _copy_rate(size: int, clock: Clock) -> float:
    # Negated on the way, so that the copy is an operation of its own that uses every thread: read once, written once.
    x = jnp.ones(size // 4, jnp.float32)
    compiled = jax.jit(jnp.negative).lower(x).compile()
    timing = measure_in_turn([jax_candidate("copy", lambda: compiled(x))], _ROUNDS, clock)["copy"]
    return 2 * size / timing.least


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
