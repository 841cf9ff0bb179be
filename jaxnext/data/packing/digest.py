"""Digests of the images that a shard is packed from: what tells whether they are still the same."""

import hashlib

from jaxnext.data.image_source import ImageSource


class ContentDigest:
    """The digest of labels, names and files of images, one after the other, wherever they are."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, source: ImageSource, index: int, file_digest: bytes) -> None:
        """Add an image.

        Args:
            source: that it is in.
            index: its number.
            file_digest: SHA-256 of its file; empty where that cannot be read.
        """
        self._digest.update(f"{source.labels[index]} {file_digest.hex()} {source.names[index]}\0".encode())

    def hexdigest(self) -> str:
        """Return the digest so far, hexadecimal."""
        return self._digest.hexdigest()


def contents_of(source: ImageSource, numbers: range) -> str:
    """Return the digest of some of a source's images, whose files it reads."""
    contents = ContentDigest()
    for i in numbers:
        try:
            digest = hashlib.sha256(source.read(i)).digest()
        except OSError:
            digest = b""
        contents.add(source, i, digest)
    return contents.hexdigest()
