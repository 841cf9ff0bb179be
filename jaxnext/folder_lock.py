"""One process at a time in a folder."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from jaxnext.errors import JaxnextError

LOCK = ".lock"
"""Name of the file that is locked. The system gives the lock up when its process ends, however it does."""


@contextlib.contextmanager
def locked(folder: Path, doing: str) -> Iterator[Callable[[], None]]:
    """Keep other processes out of a folder during the block; the file of the lock goes with it.

    It is ``flock``'s, which Linux keeps on NFS, too, for all machines that see the folder.

    Args:
        folder: made where it is not there; where it is empty at the end, and was made here, it is removed.
        doing: what a process does in it, for the message: ``training into``.

    Returns:
        a function that raises a ``JaxnextError`` once the folder is no longer there, or is another.

    Raises:
        JaxnextError: another process has the lock, or it cannot be had.
    """
    made = not folder.exists()
    with _lock(folder, doing) as file:

        def check() -> None:
            if not _is_there(folder / LOCK, file):
                raise JaxnextError(
                    f"{folder}: the folder, or the {LOCK} in it, has been removed or replaced while this process was "
                    f"{doing} it; what it held is lost, unless it has been moved elsewhere"
                )

        try:
            yield check
        finally:
            with contextlib.suppress(OSError):
                # One that somebody has put there since is another process's.
                if _is_there(folder / LOCK, file):
                    (folder / LOCK).unlink()
                if made:
                    folder.rmdir()


def _lock(folder: Path, doing: str) -> IO[bytes]:
    """Return the locked file; closing it ends the lock."""
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = (folder / LOCK).open("ab")
        except OSError as error:
            raise JaxnextError(f"{folder}: expected a folder that can be written, found: {error.strerror}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            reason = f"another process is {doing} this folder; wait until it has ended, or give another"
            if not isinstance(error, BlockingIOError):
                reason = f"expected a folder that can be locked, found: {error.strerror}"
            raise JaxnextError(f"{folder}: {reason}") from error
        # The process before may have removed the file between the two calls: then others lock a new one.
        if _is_there(folder / LOCK, file):
            return file
        file.close()


def _is_there(path: Path, file: IO[bytes]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except (FileNotFoundError, NotADirectoryError):
        return False
