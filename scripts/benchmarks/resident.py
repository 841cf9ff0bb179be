"""How much memory a call takes on a CPU, as Linux counts it: for JAX and PyTorch alike, whatever either planned."""

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def peak_of(call: Callable[[], Any], process: Path = Path("/proc/self")) -> int | None:
    """Return the most memory of this process that was resident during a call, beyond what was so before it.

    Freed memory that the C library keeps is given back first, or the call would find it and take nothing.

    Args:
        call: what is measured; call it once before, so that what it keeps for good is there.
        process: the folder in which Linux describes the process.

    Returns:
        bytes; ``None`` where the system does not count them.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
    try:
        (process / "clear_refs").write_text("5")  # sets the peak, VmHWM, to what is resident now
        before = _peak(process)
    except OSError:
        return None
    call()
    return max(_peak(process) - before, 0)


def _peak(process: Path) -> int:
    lines = (process / "status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
