"""The images of a folder that are most like some others, by their embeddings."""

import collections
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxnext.data.bad_image import CorruptImage, bad_image
from jaxnext.data.decode import decode
from jaxnext.data.image_source import ImageSource
from jaxnext.data.listing import describe_left_out
from jaxnext.data.loader import default_workers
from jaxnext.data.pixels import Pixels
from jaxnext.data.remarks import lines
from jaxnext.data.resize import resize
from jaxnext.engine.out_of_memory import out_of_memory
from jaxnext.errors import JaxnextError, printable
from jaxnext.inference.nearest import Nearest
from jaxnext.inference.predictor import Predictor
from jaxnext.inference.rows import images_of
from jaxnext.reporting.similar_page import QUERY_SIDE, SIDE, Neighbour, Query, write_similar
from jaxnext.reporting.thumbnails import data_uri
from jaxnext.types import UInt8Image

CORRUPT_STATUS = 1
"""Exit status where an image of the folder could not be read."""
_QUALITY = 80
"""Of thumbnails."""
_SAID = 3
"""Neighbours of each image that are shown as lines."""


def find_similar(
    classifier: Predictor,
    data: Sequence[Path],
    queries: Sequence[Path],
    count: int,
    output: Path,
    *,
    batch_size: int,
    workers: int | None,
    cores: int,
    say: Callable[[str], None],
    warn: Callable[[str], None],
    progress: Callable[[Any, int], Any],
) -> int:
    """Write a page with the nearest images of each query, by cosine similarity of embeddings.

    Args:
        classifier: one net.
        data: folders, image files and archives that are searched.
        queries: image files, which may be among them.
        count: of neighbours.
        output: the HTML file.
        batch_size: images at a time.
        workers: processes that decode; ``None`` chooses.
        cores: processor cores.
        say: shows a line to the user.
        warn: the same, for what went wrong.
        progress: wraps an iterator of batches, given the number of batches, in a progress bar.

    Returns:
        the exit status: 0, or 1 where an image of the folder could not be read.

    Raises:
        UsageError: an ensemble.
        JaxnextError: no images, a query that cannot be read, or a page that cannot be written.
    """
    net = classifier.only_net("embeddings")
    source, left_out = images_of(data)
    if line := describe_left_out(left_out):
        warn(line)
    asked = [_asked(path, net.pixels) for path in queries]
    workers = default_workers(cores, source) if workers is None else workers
    failed, remarks = 0, collections.Counter[str]()
    with out_of_memory(batch_size, classifier.image_size):
        nearest = Nearest(classifier.embed([seen for seen, _ in asked], batch_size), count)
        batches = classifier.stream_embeddings(source, batch_size, workers, threads=cores)
        for host, found in progress(batches, -(-len(source) // batch_size)):
            for error in host.errors:
                warn(str(error))
                failed += 1
            remarks.update(host.remarks)
            nearest.add(host.ids[host.mask], found[host.mask])
    for line in lines(remarks):
        warn(line)
    shown: list[Query] = []
    for path, (seen, picture), numbers, similarities in zip(
        queries, asked, nearest.numbers, nearest.similarities, strict=True
    ):
        pairs = zip(numbers.tolist(), similarities.tolist(), strict=True)
        query = Query(str(path), picture, [_neighbour(source, *pair, seen, net.pixels) for pair in pairs])
        for near in query.neighbours[:_SAID]:
            same = ", the same image" if near.is_same else ""
            say(f"{printable(query.name)}: {near.similarity:.3f} {printable(near.location)}{same}")
        shown.append(query)
    write_similar(shown, len(source) - failed, output)
    say(f"{output}: the nearest images")
    if failed:
        warn(f"{failed:,} of {len(source):,} images cannot be read")
    return CORRUPT_STATUS if failed else 0


def _asked(path: Path, pixels: Pixels) -> tuple[UInt8Image, str]:
    """An image as the net sees it, and the address of its thumbnail."""
    try:
        image = decode(path.read_bytes(), pixels)
    except (CorruptImage, OSError) as error:
        raise JaxnextError(str(bad_image(str(path), error))) from error
    return resize(image, pixels), data_uri(image, QUERY_SIDE, _QUALITY)


def _neighbour(source: ImageSource, number: int, similarity: float, asked: UInt8Image, pixels: Pixels) -> Neighbour:
    picture, is_same = None, False
    with contextlib.suppress(CorruptImage, OSError):  # it could be read before
        image = decode(source.read(number), pixels)
        picture, is_same = data_uri(image, SIDE, _QUALITY), np.array_equal(resize(image, pixels), asked)
    return Neighbour(source.names[number], source.location(number), similarity, is_same, picture)
