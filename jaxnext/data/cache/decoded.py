"""Decoded images kept from epoch to epoch, in memory or on disk: filled as a by-product of reading, read ever after."""

import dataclasses
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from jaxnext.data.cache.disk import DiskStore, open_disk
from jaxnext.data.cache.store import MemoryStore, Store, memory_store
from jaxnext.data.decode import decode
from jaxnext.data.image_source import ImageSource, Subset
from jaxnext.data.pixels import Pixels
from jaxnext.data.remarks import remarks_of
from jaxnext.data.resize import resize
from jaxnext.errors import JaxnextError
from jaxnext.types import UInt8Image

_WARM = 0.9


@dataclasses.dataclass(frozen=True, eq=False)
class Cache:
    """The stores of a run, one for each whole source. A cache on disk may be sent to worker processes."""

    stores: tuple[Store, ...] = ()

    def store_of(self, source: ImageSource, pixels: Pixels) -> tuple[Store | None, NDArray[np.int64] | None]:
        """The store of a source, and where that is of a larger one, the numbers in it of the source's images.

        Of several by other rules it is the one by ``pixels``; a single one may be by any.
        """
        whole, numbers = whole_source(source)
        found = [store for store in self.stores if store.source is whole]
        return next((store for store in found if store.pixels == pixels), found[0] if found else None), numbers

    def only(self, wanted: Collection[tuple[ImageSource, Pixels]]) -> "Cache":
        """The same stores, but only those that some sources with their rules use."""
        used = [self.store_of(source, pixels)[0] for source, pixels in wanted]
        return Cache(tuple(store for store in self.stores if any(store is one for one in used)))

    @property
    def threads_only(self) -> bool:
        """Whether worker processes cannot use it."""
        return any(isinstance(store, MemoryStore) for store in self.stores)

    @property
    def warm(self) -> bool:
        """Whether it holds so many of the images that reading is mostly copying."""
        images = sum(len(store.source) for store in self.stores)
        return images > 0 and sum(store.filled for store in self.stores) >= _WARM * images

    def flush(self) -> None:
        """Makes what is stored outlive a crash of the machine, where it is on disk. Quick if there is nothing new."""
        for store in self.stores:
            store.flush()


class Reader:
    """The images of a source as pixels of one shape, from a cache where it has them."""

    def __init__(self, source: ImageSource, pixels: Pixels, cache: Cache | None = None) -> None:
        """Args: the images; the rules, which are those of the cache; ``None``: every image is decoded."""
        self.source, self.pixels = source, pixels
        self._store, self._numbers = (cache or Cache()).store_of(source, pixels)
        if self._store is not None and self._store.pixels != pixels:
            raise ValueError(f"expected a cache of {pixels}, found one of {self._store.pixels}")

    def read(self, index: int, into: UInt8Image) -> tuple[str, ...]:
        """Reads an image, from the cache or, decoded and resized, from its file, and then into the cache.

        Args:
            index: of the image in the source.
            into: receives the pixels, ``[height, width, 3]``; after an error it may hold anything.

        Returns:
            What is to be said of the image where it was decoded, as ``remarks_of`` has it.

        Raises:
            CorruptImage: the image cannot be decoded.
            OSError: its file cannot be read.
            JaxnextError: the cache cannot be written.
        """
        if self._store is None:
            return self._decode(index, into)
        number = index if self._numbers is None else int(self._numbers[index])
        # Taken before reading: a file that changes meanwhile has another one afterwards.
        stamp = self._store.source.stamp(number)
        if self._store.get(number, stamp, into):
            return ()
        remarks = self._decode(index, into)
        self._store.put(number, stamp, into)
        return remarks

    def _decode(self, index: int, into: UInt8Image) -> tuple[str, ...]:
        remarks: list[str] = []
        pixels = decode(self.source.read(index), self.pixels, lambda image: remarks.extend(remarks_of(image)))
        into[...] = resize(pixels, self.pixels)
        return tuple(remarks)


def open_cache(
    kind: Literal["none", "memory", "disk"],
    place: Path,
    sources: Sequence[ImageSource],
    pixels: Pixels,
    boot: str = "",
    memory: int | None = None,
    machine: str = "",
) -> tuple[Cache, list[str]]:
    """The cache of the images of a run.

    Args:
        kind: none; memory, of this process; disk, shared with the machine's other processes and with the next run.
        place: on disk, the folder that holds a folder for each cache.
        sources: the images. Those that are parts of one source share its store.
        pixels: the rules by which images are decoded and resized.
        boot: as for ``open_disk``.
        memory: bytes that this process may still take; ``None``: unknown.
        machine: as for ``open_disk``.

    Returns:
        The cache, and lines for the user: where it is, how many images are in it, its size.

    Raises:
        JaxnextError: too little memory or disk space, or a folder that does not match.
    """
    wholes: dict[int, ImageSource] = {id(whole): whole for whole, _ in map(whole_source, sources)}
    if kind == "none":
        return Cache(), []
    needed = sum(map(len, wholes.values())) * pixels.bytes
    if kind == "memory" and memory is not None and needed > memory:
        raise JaxnextError(
            f"data.cache memory: expected at most the {memory:,} bytes of memory that are left, found "
            f"{needed:,} for the decoded images; set --data.cache disk"
        )
    stores: list[Store] = []
    lines: list[str] = []
    for whole in wholes.values():
        if kind == "memory":
            store = memory_store(whole, pixels)
        else:
            store, said = open_disk(place, whole, pixels, boot, machine)
            lines += said
        stores.append(store)
        where = str(store.folder) if isinstance(store, DiskStore) else "in memory"
        full = _bytes(len(whole) * pixels.bytes)
        lines.append(f"decoded cache {where}: {store.filled:,} of {len(whole):,} images, {full} when full")
    return Cache(tuple(stores)), lines


def whole_source(source: ImageSource) -> tuple[ImageSource, NDArray[np.int64] | None]:
    """The source that a subset is of, and the numbers in it of the subset's images; ``None`` for one that is whole."""
    numbers = None
    while isinstance(source, Subset):
        numbers = source.indices if numbers is None else source.indices[numbers]
        source = source.source
    return source, numbers


def _bytes(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
