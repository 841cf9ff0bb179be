"""The C library's allocator, told to keep the memory that one training step frees for the next.

Every step allocates its temporary memory in one piece, a gigabyte and more. By default glibc returns it to the system
after each step, and the next one pays for getting it back page by page: 6 to 17 % of its time.
"""

import ctypes
import importlib.metadata
import importlib.util
import sys

FEW_PIXELS = 50_000
"""Those of a batch, up to which a training step is small: on a CPU it takes about a tenth of a second and 1 to 3 KiB of
temporary memory for each pixel, or less where the net is small, too."""

_STEPS_KEPT = 4

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
"""Of <malloc.h>: free memory at the heap's end beyond which it shrinks; size from which an allocation gets a mapping of
its own, and how many may."""


def keep_freed_memory(platforms: str | None, pixels: int | None = None) -> None:
    """Have the C library keep freed memory, where JAX will run on the CPU.

    glibc keeps pieces of more than 64 MiB for the main thread alone, so that JAX is told to run large programs in the
    thread that calls them. (One heap for all threads would do as well, but then they wait for each other: compiling
    took half as long again, and the steps of small nets, too.) Small ones stay beside it, where the next batch is made
    meanwhile. Call this before JAX starts its backend, and compute in the main thread. Elsewhere than with glibc, or
    with a JAX for accelerators, nothing is changed.

    Args:
        platforms: those that JAX was told to use (``JAX_PLATFORMS``); ``None``: it was told nothing.
        pixels: of a batch; ``None``: more than ``FEW_PIXELS``.
    """
    accelerated = bool(importlib.metadata.entry_points(group="jax_plugins")) or importlib.util.find_spec("libtpu")
    if accelerated and platforms != "cpu":
        return
    if _set_malloc((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1)) and (pixels is None or pixels > FEW_PIXELS):
        import jax  # not before: whoever only wants FEW_PIXELS need not wait for it

        jax.config.update("jax_cpu_enable_async_dispatch", False)


def give_back_if_short(step: int, available: int | None) -> None:
    """Undo ``keep_freed_memory`` where there is too little memory for it.

    Kept memory can be cut up between two steps, so that the next one's does not fit any more and is taken anew.

    Args:
        step: bytes of temporary memory of a training step, before the first.
        available: bytes that are left to the process; ``None``: unknown, which changes nothing.
    """
    if available is not None and _STEPS_KEPT * step > available:
        _set_malloc((_M_MMAP_THRESHOLD, 32 * 2**20), (_M_MMAP_MAX, 65536), (_M_TRIM_THRESHOLD, 128 * 2**10))


def _set_malloc(*options: tuple[int, int]) -> bool:
    """Return whether there is a glibc to take the options."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    for option, value in options:
        mallopt(option, value)
    return True
