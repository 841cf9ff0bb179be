"""A decoded cache in a folder, which any number of processes of one machine may fill and read at once.

    FOLDER/cache.json    what the pixels are, and in which boot of the machine entries were last written
    FOLDER/pixels.bin    uint8 [n, height, width, 3]; sparse until it is filled
    FOLDER/stamps.bin    int64 [n]; 0: no entry; else the stamp of the file that the entry was decoded from
    FOLDER/durable.bin   the stamps of those entries whose pixels are known to have reached the disk
    FOLDER/digests.bin   of each entry its stamp and a SHA-256, which ``jaxnext verify`` reads
    FOLDER/lock          locked byte by byte while an entry is written
    FOLDER/settle.lock   locked while the folder is opened or settled

Pixels are read through a memory map and written by ``pwrite``: a write to a map on a full disk would kill the process.
A process that is killed leaves only entries that are right, for the system keeps what it has written. A machine that
crashes may keep a stamp and lose its pixels. So entries written in an earlier boot count only if they are durable.

Each machine has a folder of its own, also where several share a file system: the boot of one says nothing of another's,
and its memory map may show an entry's new stamp before the pixels.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxnext.atomic import whole_file
from jaxnext.data.cache import entry_digests
from jaxnext.data.cache.store import Store
from jaxnext.data.decode import PIXELS_VERSION
from jaxnext.data.image_source import ImageSource, fingerprint
from jaxnext.data.pixels import Pixels
from jaxnext.errors import JaxnextError
from jaxnext.types import UInt8Image

_FORMAT = 2
_STAMP = np.dtype("<i8")


class DiskStore(Store):
    """An open folder. Sent to another process, it is opened there again, without the checks."""

    def __init__(self, folder: Path, source: ImageSource, pixels: Pixels) -> None:
        """Args: a folder that ``open_disk`` has prepared; the whole source; the rules."""
        self.folder = folder
        shape = (len(source), *pixels.shape)
        with _errors(folder):
            self._pixels_file = _opened(self, folder / "pixels.bin")
            self._stamps_file = _opened(self, folder / "stamps.bin")
            self._digests_file = _opened(self, folder / entry_digests.FILE)
            self._lock_file = _opened(self, folder / "lock")
            # np.asarray: indexing a np.memmap makes another one, which takes longer than a small copy.
            entries = np.asarray(np.memmap(folder / "pixels.bin", np.uint8, "r", shape=shape))
            stamps = np.asarray(np.memmap(folder / "stamps.bin", _STAMP, "r", shape=shape[:1]))
            self._durable = _read_stamps(folder / "durable.bin")
        super().__init__(source, pixels, entries, stamps)

    def __reduce__(self) -> tuple[Any, ...]:
        return DiskStore, (self.folder, self.source, self.pixels)

    def flush(self) -> None:
        """Has the disk keep what is stored, and notes that it does.

        Raises:
            JaxnextError: the disk is full or fails.
        """
        with _errors(self.folder), _exclusive(self.folder):
            stamps = self._stamps.copy()
            if not np.array_equal(stamps, self._durable):
                os.fsync(self._pixels_file)
                os.fsync(self._digests_file)
                _write_durable(self.folder, stamps)
                self._durable = stamps

    def _lock(self, number: int) -> bool:
        # Never waiting: the system takes two processes that wait for each other's threads for a deadlock.
        with _errors(self.folder):
            try:
                fcntl.lockf(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
            except (BlockingIOError, PermissionError):
                return False
        return True

    def _unlock(self, number: int) -> None:
        fcntl.lockf(self._lock_file, fcntl.LOCK_UN, 1, number)

    def _write(self, number: int, stamp: int, pixels: UInt8Image) -> None:
        with _errors(self.folder):
            self._write_stamp(number, 0)
            entry = np.ascontiguousarray(pixels).data
            _write_all(self._pixels_file, entry, number * pixels.size)
            record = entry_digests.record(stamp, entry)
            _write_all(self._digests_file, record, number * len(record))
            self._write_stamp(number, stamp)

    def _write_stamp(self, number: int, stamp: int) -> None:
        _write_all(self._stamps_file, np.array(stamp, _STAMP).tobytes(), number * _STAMP.itemsize)


def open_disk(
    place: Path, source: ImageSource, pixels: Pixels, boot: str, machine: str = ""
) -> tuple[DiskStore, list[str]]:
    """Opens the cache of a source, or begins it.

    Args:
        place: folder that holds a folder for each cache.
        source: a whole source.
        pixels: the rules by which images are decoded and resized.
        boot: identifies the time since the machine was started; empty: unknown, only durable entries are taken.
        machine: name of this one among those that may see ``place``.

    Returns:
        The store, and lines for the user.

    Raises:
        JaxnextError: not enough free space for what is still to be filled, a folder that holds something else, or that
            cannot be written.
    """
    what = _description(source, pixels) | {"machine": machine}
    folder = place / hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
    sizes = {"pixels.bin": len(source) * pixels.bytes, "stamps.bin": len(source) * _STAMP.itemsize}
    lines: list[str] = []
    noted = folder / "cache.json"
    if not noted.exists():
        _check_space(folder, sizes["pixels.bin"] + sizes["stamps.bin"], len(source))
    with _errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with _exclusive(folder):
            (folder / "lock").touch()
            # Caches of earlier versions have none.
            if not (folder / entry_digests.FILE).exists():
                with whole_file(folder / entry_digests.FILE, "wb") as file:
                    file.truncate(len(source) * entry_digests.RECORD.itemsize)
            if not noted.exists():
                _create(folder, sizes)
                _note(folder, what, boot)
            elif _check(folder, what, sizes) != boot or not boot:
                lines += _forget_what_may_be_lost(folder)
                _note(folder, what, boot)
        store = DiskStore(folder, source, pixels)
        missing = len(source) - store.filled
        _check_space(folder, missing * pixels.bytes, missing)
        store.flush()
    return store, lines


def _description(source: ImageSource, pixels: Pixels) -> dict[str, Any]:
    first = source.location(0) if len(source) and not source.in_memory else ""
    # The place that the names are relative to, where images are files.
    whole = first if "://" in first else str(Path(first).absolute())
    place = whole.removesuffix(source.names[0]) if first else "in memory"
    return {
        "format": _FORMAT,
        "images": place,
        "names and labels": fingerprint(source),
        "count": len(source),
        "pixels": pixels.to_json(),
        "decoder": PIXELS_VERSION,
    }


def _create(folder: Path, sizes: dict[str, int]) -> None:
    # The stamps are written out, so that a disk that fills up fails at pixels.
    (folder / "stamps.bin").write_bytes(bytes(sizes["stamps.bin"]))
    (folder / "durable.bin").write_bytes(bytes(sizes["stamps.bin"]))
    with (folder / "pixels.bin").open("wb") as file:
        file.truncate(sizes["pixels.bin"])


def _check(folder: Path, what: dict[str, Any], sizes: dict[str, int]) -> str:
    """The boot that a folder notes, which must hold what is expected."""
    remedy = f"delete the folder {folder}, or give another --data.cache_path"
    noted = folder / "cache.json"
    try:
        found = json.loads(noted.read_bytes())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise JaxnextError(f"{noted}: expected the description of a decoded cache, found no JSON of it; {remedy}")
    for key, value in what.items():
        if found.get(key) != value:
            raise JaxnextError(f"{noted}: expected {key} {value!r}, found {found.get(key)!r}; {remedy}")
    digests = what["count"] * entry_digests.RECORD.itemsize
    for name, size in (sizes | {"durable.bin": sizes["stamps.bin"], entry_digests.FILE: digests}).items():
        there = (folder / name).stat().st_size if (folder / name).exists() else 0
        if there != size:
            raise JaxnextError(f"{folder / name}: expected {size:,} bytes, found {there:,}; {remedy}")
    return str(found.get("boot", ""))


def _forget_what_may_be_lost(folder: Path) -> list[str]:
    stamps, durable = _read_stamps(folder / "stamps.bin"), _read_stamps(folder / "durable.bin")
    lost = int(np.count_nonzero((stamps != durable) & (stamps != 0)))
    # In place: another process may have the file open, and a shorter one under its map would kill it.
    with (folder / "stamps.bin").open("r+b") as file:
        file.write(np.where(stamps == durable, stamps, 0).astype(_STAMP).tobytes())
        file.flush()
        os.fsync(file.fileno())
    if not lost:
        return []
    return [
        f"decoded cache {folder}: {lost:,} of its images may not have reached the disk before the machine was "
        "restarted and are decoded anew"
    ]


def _note(folder: Path, what: dict[str, Any], boot: str) -> None:
    with whole_file(folder / "cache.json") as file:
        file.write(json.dumps(what | {"boot": boot}, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _write_durable(folder: Path, stamps: NDArray[np.int64]) -> None:
    with whole_file(folder / "durable.bin", "wb") as file:
        file.write(stamps.tobytes())
        file.flush()
        os.fsync(file.fileno())


def _read_stamps(file: Path) -> NDArray[np.int64]:
    return np.frombuffer(file.read_bytes(), _STAMP)


def _check_space(folder: Path, needed: int, images: int) -> None:
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise JaxnextError(
            f"{folder}: the decoded cache needs {needed:,} bytes more for {images:,} images, found {free:,} free; make "
            "room, give another --data.cache_path, or set --data.cache none"
        )


@contextlib.contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    # Not the file of the entries' locks: closing it would give up those that this process's other threads hold.
    with (folder / "settle.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise JaxnextError(
            f"{folder}: the decoded cache cannot be used ({error.strerror or error}); what it holds stays right; put "
            "that right and go on with --resume auto, give another --data.cache_path, or set --data.cache none"
        ) from error


def _opened(store: DiskStore, path: Path) -> int:
    """A descriptor that is closed with the store: not sooner, for a thread may still be writing."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    weakref.finalize(store, os.close, descriptor)
    return descriptor


def _write_all(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    view = memoryview(data).cast("B")
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
