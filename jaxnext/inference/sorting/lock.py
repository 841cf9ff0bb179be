"""One process at a time in a folder."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from jaxnext.errors import JaxnextError

LOCK = ".sorted.lock"
"""Name of the file that is locked. The system gives the lock up when its process ends, however it does."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from sorting into a folder, or out of it, during the block.

    Args:
        folder: that is there; the file of the lock stays in it.

    Raises:
        JaxnextError: another process has the lock, or it cannot be had.
    """
    with (folder / LOCK).open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            reason = "another process is sorting into this folder; wait until it has ended"
            if not isinstance(error, BlockingIOError):
                reason = f"expected a folder that can be locked, found: {error.strerror}"
            raise JaxnextError(f"{folder}: {reason}") from error
        yield
