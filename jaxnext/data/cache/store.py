"""Decoded images by number: how an entry of a cache is read and written while others read and write it."""

import mmap
import threading
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from jaxnext.data.image_source import ImageSource
from jaxnext.data.pixels import Pixels
from jaxnext.errors import JaxnextError
from jaxnext.types import UInt8Image

_STRIPES = 64


class Store:
    """Pixels of the images of one whole source by the same rules, each with the stamp of the file it was decoded from.

    An entry counts only where its stamp is the one that the source gives now. Whoever writes one sets the stamp to 0,
    writes the pixels and sets the stamp last; whoever reads one compares the stamp before and again after copying the
    pixels out. So a half-written entry is never taken for a whole one, and a file that has changed is decoded anew.
    """

    def __init__(
        self, source: ImageSource, pixels: Pixels, entries: NDArray[np.uint8], stamps: NDArray[np.int64]
    ) -> None:
        """Args: the whole source; the rules; entries ``[n, *pixels.shape]`` and their stamps ``[n]``."""
        self.source, self.pixels = source, pixels
        self._pixels, self._stamps = entries, stamps
        self._locks = [threading.Lock() for _ in range(_STRIPES)]

    @property
    def filled(self) -> int:
        """Images that are in the store, those included whose file has changed since."""
        return int(np.count_nonzero(self._stamps))

    def get(self, number: int, stamp: int, into: UInt8Image) -> bool:
        """Copies an image out.

        Args:
            number: of the image in the whole source.
            stamp: of its file now.
            into: receives the pixels, ``[height, width, 3]``; what it holds afterwards counts only on success.

        Returns:
            Whether the store has the image.
        """
        if self._stamps[number] != stamp:
            return False
        np.copyto(into, self._pixels[number])
        return bool(self._stamps[number] == stamp)

    def put(self, number: int, stamp: int, pixels: UInt8Image) -> None:
        """Stores an image, unless its file has changed since ``stamp``, which was taken before reading it.

        Raises:
            JaxnextError: the pixels cannot be written.
        """
        with self._locks[number % _STRIPES]:
            # Somebody else was sooner, or is at it.
            if self._stamps[number] == stamp or not self._lock(number):
                return
            try:
                if _stamp_of(self.source, number) == stamp:
                    self._write(number, stamp, pixels)
            finally:
                self._unlock(number)

    def flush(self) -> None:
        """Makes sure that what is stored outlives a crash of the machine, where the kind of store can."""

    def _lock(self, number: int) -> bool:
        """Keeps other processes from writing an entry, or says that one is writing it."""
        del number
        return True

    def _unlock(self, number: int) -> None: ...

    def _write(self, number: int, stamp: int, pixels: UInt8Image) -> None:
        self._stamps[number] = 0
        self._pixels[number] = pixels
        self._stamps[number] = stamp


class MemoryStore(Store):
    """A store that threads of this process share, and nobody else."""

    def __getstate__(self) -> NoReturn:
        raise TypeError("a cache in memory cannot be sent to a worker process; use threads, or a cache on disk")


def memory_store(source: ImageSource, pixels: Pixels) -> MemoryStore:
    """A store in the memory of this process, which takes what is filled and no more.

    Raises:
        JaxnextError: the system does not give that much address space.
    """
    shape = (len(source), *pixels.shape)
    try:
        # Not np.zeros: where the heap is never returned to the system, that would touch every page.
        memory = mmap.mmap(-1, max(int(np.prod(shape)), 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise JaxnextError(
            f"data.cache memory: expected room for {np.prod(shape):,} bytes, found: {error.strerror}; "
            "set --data.cache disk"
        ) from error
    entries = np.frombuffer(memory, np.uint8, int(np.prod(shape))).reshape(shape)
    return MemoryStore(source, pixels, entries, np.zeros(len(source), np.int64))


def _stamp_of(source: ImageSource, number: int) -> int | None:
    try:
        return source.stamp(number)
    except OSError:
        return None
