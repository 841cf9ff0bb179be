"""A scan that decodes every image before training begins, so that all bad files are known at once."""

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from jaxnext.data.bad_image import BadImage, CorruptImage, bad_image
from jaxnext.data.cache.decoded import Cache, Reader, whole_source
from jaxnext.data.decode import decode
from jaxnext.data.image_source import ImageSource, Subset
from jaxnext.data.pixels import Pixels
from jaxnext.data.tfds_split import TfdsSource
from jaxnext.data.threads import Stopped, in_order
from jaxnext.errors import JaxnextError, one_line
from jaxnext.file_digests import sha256

_CHUNK = 32


def share_of(source: ImageSource, index: int, count: int) -> ImageSource:
    """The part of a source that one of several processes looks at: the same number of images for each, but for one."""
    if count == 1:
        return source
    first, end = (len(source) * part // count for part in (index, index + 1))
    return Subset(source, np.arange(first, end))


def check_shards(sources: Iterable[ImageSource], index: int, count: int, stop: Callable[[], bool]) -> None:
    """Reads the shards of packed data sets that note their SHA-256; one of several processes its share of them.

    Args:
        sources: the images, also of no packed set.
        index: of this process.
        count: of processes.
        stop: whether to give up.

    Raises:
        JaxnextError: the first shard that is another.
    """
    from etils import epath

    wholes = [whole_source(source)[0] for source in sources]
    noted = {
        file: digest for whole in wholes if isinstance(whole, TfdsSource) for file, digest in whole.digests.items()
    }
    for file in sorted(noted)[index::count]:
        if stop():
            return
        path: Any = epath.Path(file)
        try:
            found = sha256(path)
        except Exception as error:  # file systems of buckets raise their own
            raise JaxnextError(f"{file}: the shard cannot be read ({one_line(error)})") from error
        if found != noted[file]:
            raise JaxnextError(
                f"{file}: expected the SHA-256 {noted[file]} that metadata.json beside it notes, found {found}; copy "
                "the shard again, or pack the data set again"
            )


def find_bad_images(
    sources: Iterable[ImageSource],
    pixels: Pixels,
    cache: Cache,
    threads: int,
    done: Callable[[int], object],
    stop: Callable[[], bool],
) -> list[BadImage] | None:
    """Decodes every image; those that a cache has count as good, the others go into it.

    Args:
        sources: the images.
        pixels: the rules by which they are decoded, and the cached ones resized.
        cache: of the sources; with none, images are decoded and not resized.
        threads: that decode.
        done: told how many more images have been looked at.
        stop: whether to give up.

    Returns:
        Those that fail, in order; ``None`` if asked to stop.
    """
    bad: list[BadImage] = []
    chunks = itertools.chain.from_iterable(_chunks(source, pixels, cache) for source in sources)
    try:
        for count, found in in_order(chunks, threads, stop):
            bad += found
            done(count)
    except Stopped:
        return None
    return bad


def _chunks(source: ImageSource, pixels: Pixels, cache: Cache) -> Iterable[Callable[[], tuple[int, list[BadImage]]]]:
    reader = Reader(source, pixels, cache) if cache.stores else None
    for first in range(0, len(source), _CHUNK):
        indices = range(first, min(first + _CHUNK, len(source)))
        yield functools.partial(_look, source, pixels, reader, indices)


def _look(
    source: ImageSource, pixels: Pixels, reader: Reader | None, indices: Sequence[int]
) -> tuple[int, list[BadImage]]:
    scratch = np.empty(pixels.shape, np.uint8)
    bad: list[BadImage] = []
    for index in indices:
        try:
            if reader is not None:
                reader.read(index, scratch)
            else:
                decode(source.read(index), pixels)
        except (CorruptImage, OSError) as error:
            bad.append(bad_image(source.location(index), error))
    return len(indices), bad
