"""What a command takes from the process around it: Ctrl-C, processor cores, versions, how it was called."""

import contextlib
import ctypes
import importlib.metadata
import importlib.util
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from jaxnext.errors import JaxnextError

FEW_PIXELS = 50_000
"""Those of a batch, up to which a training step is small: on a CPU it takes about a tenth of a second and 1 to 3 KiB of
temporary memory for each pixel, or less where the net is small, too."""

_PACKAGES = ("jaxnext", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "pillow", "simplejpeg")


def say(line: str) -> None:
    """Shows a line to the user at once, on standard output."""
    print(line, flush=True)


def warn(line: str) -> None:
    """Shows a line to the user on standard error, above the progress bar where one is shown, not at its end."""
    from tqdm import tqdm

    tqdm.write(line, file=sys.stderr)


def note(line: str) -> None:
    """Shows a line to the user on standard error; needs nothing beside Python."""
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Within it Ctrl-C and SIGTERM only set what the yielded function returns.

    SIGTERM is how a scheduler announces that it takes the machine away. A second Ctrl-C raises ``KeyboardInterrupt``.
    """
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True
        # Not print: a signal may arrive while the stream is being written, and it cannot be entered twice.
        os.write(2, b"\nstopping after this step; press Ctrl-C again to stop at once without saving\n")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_freed_memory(pixels: int | None = None) -> None:
    """Has the C library keep freed memory for the next training step, where JAX will run on the CPU.

    Every step allocates its temporary memory in one piece, a gigabyte and more. By default glibc returns it to the
    system after each step, and the next one pays for getting it back page by page: 6 to 17 % of its time.

    glibc keeps pieces of more than 64 MiB for the main thread alone, so that JAX is told to run large programs in the
    thread that calls them. (One heap for all threads would do as well, but then they wait for each other: compiling
    took half as long again, and the steps of small nets, too.) Small ones stay beside it, where the next batch is made
    meanwhile. Call this before JAX starts its backend, and compute in the main thread. Elsewhere than with glibc, or
    with a JAX for accelerators, nothing is changed.

    Args:
        pixels: of a batch; ``None``: more than ``FEW_PIXELS``.
    """
    accelerated = bool(importlib.metadata.entry_points(group="jax_plugins")) or importlib.util.find_spec("libtpu")
    if accelerated and os.environ.get("JAX_PLATFORMS") != "cpu":
        return
    if _set_malloc((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1)) and (pixels is None or pixels > FEW_PIXELS):
        import jax

        jax.config.update("jax_cpu_enable_async_dispatch", False)


def give_back_if_short(step: int) -> None:
    """Undo ``keep_freed_memory`` where there is too little memory for it.

    Kept memory can be cut up between two steps, so that the next one's does not fit any more and is taken anew.

    Args:
        step: bytes of temporary memory of a training step, before the first.
    """
    available = available_memory()
    if available is not None and _STEPS_KEPT * step > available:
        _set_malloc((_M_MMAP_THRESHOLD, 32 * 2**20), (_M_MMAP_MAX, 65536), (_M_TRIM_THRESHOLD, 128 * 2**10))


_STEPS_KEPT = 4

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
"""Of <malloc.h>: free memory at the heap's end beyond which it shrinks; size from which an allocation gets a mapping of
its own, and how many may."""


def _set_malloc(*options: tuple[int, int]) -> bool:
    """Whether there is a glibc to take the options."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    for option, value in options:
        mallopt(option, value)
    return True


def cache_folder() -> Path:
    """Where downloads and the like are kept: ``jaxnext`` in ``$XDG_CACHE_HOME``, by default ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxnext"


def index_folder() -> Path:
    """Where listings of image folders are kept."""
    return cache_folder() / "index"


def tfds_folder() -> str:
    """Where TensorFlow Datasets keeps its data sets: ``$TFDS_DATA_DIR``, by default ``~/tensorflow_datasets``."""
    # Not a Path, which would take a slash out of gs://.
    return os.environ.get("TFDS_DATA_DIR") or str(Path.home() / "tensorflow_datasets")


def boot_id() -> str:
    """Identifies the time since the machine was started; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def available_memory() -> int | None:
    """Bytes of memory that are left to this process, by the machine and its control group; None if unknown."""
    most = []
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        most.append(1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]))
    groups = Path("/sys/fs/cgroup")
    for limit, used, statistics, evictable in (
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
    ):
        with contextlib.suppress(OSError, ValueError, StopIteration):
            lines = (groups / statistics).read_text().splitlines()
            pages = int(next(line for line in lines if line.startswith(f"{evictable} ")).split()[1])
            most.append(int((groups / limit).read_text()) - int((groups / used).read_text()) + pages)
    return min(most, default=None)


def anonymous_memory() -> int:
    """Bytes of memory that this process has, mapped files excluded; Linux only.

    Raises:
        JaxnextError: the system does not say.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("RssAnon:")).split()[1])
    except (OSError, StopIteration) as error:
        raise JaxnextError("/proc/self/status: expected a line RssAnon, as Linux has it, found none") from error


def versions(checkout: Path) -> dict[str, Any]:
    """Versions of Python and of the packages that decide a result, and the commit; None for what is unknown.

    Args:
        checkout: Folder of the project. The commit ends in ``-dirty`` where tracked files differ from it.
    """
    return (
        {"python": platform.python_version()}
        | {name: _version(name) for name in _PACKAGES}
        | {"commit": _commit(checkout)}
    )


def resume_command(program: str, argv: Sequence[str]) -> str:
    """The shell command that goes on with the run that ``program`` began with ``argv``."""
    words = list(argv)
    if not any(word.partition("=")[0] == "--resume" for word in words):
        words += ["--resume", "auto"]
    name = Path(sys.executable).name
    found = shutil.which(name)
    # The name alone would start another Python where the virtual environment is not activated.
    python = name if found and Path(found) == Path(sys.executable) else sys.executable
    return shlex.join([python, program, *words])


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit(checkout: Path) -> str | None:
    if not (checkout / ".git").exists():
        return None  # git would look further up and find the repository of somebody else
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
