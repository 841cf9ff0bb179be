"""What a command may use of its machine: cores and memory; and what the time since its start is known by."""

import contextlib
import os
from pathlib import Path


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def boot_id() -> str:
    """Return what identifies the time since the machine was started; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def available_memory() -> int | None:
    """Return the bytes of memory that machine and control group leave to this process; None if unknown."""
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
