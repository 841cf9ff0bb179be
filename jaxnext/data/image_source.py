"""Where images come from: random access to encoded image files with their names and labels.

A label is an index into ``classes``, which are sorted as strings ('0', '1', '10', '11', ..., '2'): an index means
nothing without that list.
"""

import dataclasses
import hashlib
import os
import zlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from jaxnext.errors import visible


class ImageSource(Protocol):
    """Encoded images by number. Worker processes get a copy, so that it must pickle."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order; empty where nothing is labelled."""
        ...

    @property
    def labels(self) -> NDArray[np.int32]:
        """int32 ``[n]``: index into ``classes``, -1 where unlabelled."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Path of each image relative to the folder given, with extension and forward slashes."""
        ...

    @property
    def in_memory(self) -> bool:
        """Whether reading costs nothing, so that worker processes would not pay."""
        ...

    def __len__(self) -> int: ...

    def location(self, index: int) -> str:
        """Where one image is, for messages: the full path of a file."""
        ...

    def read(self, index: int) -> bytes:
        """Bytes of one image file; ``OSError`` where it cannot be read."""
        ...

    def stamp(self, index: int) -> int:
        """A number from 1 to 2**63 - 1 that changes when the encoded image does; ``OSError`` where it is gone."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class MemorySource:
    """Encoded images held in memory."""

    data: tuple[bytes, ...]
    names: tuple[str, ...]
    labels: NDArray[np.int32]
    classes: tuple[str, ...]
    in_memory = True

    def __len__(self) -> int:
        return len(self.data)

    def location(self, index: int) -> str:
        """Name of one image."""
        return self.names[index]

    def read(self, index: int) -> bytes:
        """Bytes of one image file."""
        return self.data[index]

    def stamp(self, index: int) -> int:
        """From the bytes of the file."""
        return zlib.crc32(self.data[index]) + 1


class Subset:
    """Some images of another source, in the order of ``indices``."""

    def __init__(self, source: ImageSource, indices: NDArray[np.int64]) -> None:
        """Args: the whole source; int64 ``[n]``, the numbers of its images to keep."""
        self.source = source
        self.indices = indices
        self.labels = source.labels[indices]
        self.names = tuple(map(source.names.__getitem__, indices.tolist()))

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names of the whole source."""
        return self.source.classes

    @property
    def in_memory(self) -> bool:
        """Whether the whole source is in memory."""
        return self.source.in_memory

    def __len__(self) -> int:
        return len(self.indices)

    def location(self, index: int) -> str:
        """Where the whole source has the image."""
        return self.source.location(int(self.indices[index]))

    def read(self, index: int) -> bytes:
        """Bytes of one image file; ``OSError`` where it cannot be read."""
        return self.source.read(int(self.indices[index]))

    def stamp(self, index: int) -> int:
        """The stamp of the whole source; ``OSError`` where the image is gone."""
        return self.source.stamp(int(self.indices[index]))


def label_numbers(names: Sequence[str], classes: Sequence[str]) -> NDArray[np.int32]:
    """Return the place of each name in ``classes``, int32 ``[n]``; ``KeyError`` for a name that is not there."""
    number = {name: i for i, name in enumerate(classes)}
    return np.fromiter(map(number.__getitem__, names), np.int32, len(names))


def some(names: Sequence[str], chosen: Sequence[int] | None = None) -> str:
    """The first names of a list, and how many more there are, for messages."""
    picked = [names[i] for i in chosen] if chosen is not None else list(names)
    more = f" and {len(picked) - 5} more" if len(picked) > 5 else ""
    return visible(", ".join(picked[:5]) + more)


def fingerprint(source: ImageSource) -> str:
    """SHA-256 of the names and labels of a source's images, in order: whether it is still the same set."""
    digest = hashlib.sha256()
    for name, label in zip(source.names, source.labels.tolist(), strict=True):
        digest.update(f"{label} {name}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def file_identity(status: os.stat_result) -> bytes:
    """What changes when a file is written, replaced or renamed.

    Size and modification time alone would not: archives and copies set the time back. The change time cannot be set.
    """
    return b"%d %d %d %d" % (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def stamp_of(data: bytes) -> int:
    """A stamp, from 1 to 2**63 - 1, of what identifies the content of an image."""
    return (int.from_bytes(hashlib.blake2b(data, digest_size=8).digest()) & (2**63 - 1)) or 1
