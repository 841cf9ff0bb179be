"""What a command takes from the process around it: Ctrl-C, processor cores, versions, how it was called."""

import contextlib
import importlib.metadata
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
