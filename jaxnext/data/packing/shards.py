"""Writing one shard of a packed data set."""

import collections
import hashlib
import importlib
import io
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from jaxnext.atomic import whole_file
from jaxnext.data.bad_image import BadImage, CorruptImage, bad_image
from jaxnext.data.decode import decode
from jaxnext.data.image_source import ImageSource
from jaxnext.data.packing.digest import ContentDigest
from jaxnext.data.packing.plan import Shard
from jaxnext.data.pixels import Pixels
from jaxnext.data.resize import resize
from jaxnext.errors import JaxnextError, one_line
from jaxnext.file_digests import sha256

_Stored = tuple[bytes, bytes | BadImage]
_AS_STORED = Pixels((1, 1), orientation="stored", depth="clip", background="ignore")
_AHEAD = 4
"""Images decoded ahead of the writer, for each thread."""


class ShardReport(NamedTuple):
    """What a finished shard holds."""

    images: int
    bytes: int
    """of its examples, as TFDS counts them"""
    sha256: str
    """of the file"""
    contents: str
    """digest of the images' labels, names and files, those included that were left out"""
    corrupt: list[BadImage]
    """those that were left out"""
    reused: bool = False
    """whether an earlier call has written it"""


def features_of(classes: tuple[str, ...], pixels: Pixels | None) -> Any:
    """The features of an example: ``image``, ``label`` and ``file_name``."""
    import tensorflow_datasets as tfds

    image = (
        tfds.features.Image(shape=(None, None, 3))
        if pixels is None
        else tfds.features.Image(shape=pixels.shape, encoding_format="png")
    )
    label = tfds.features.ClassLabel(names=list(classes))
    return tfds.features.FeaturesDict({"image": image, "label": label, "file_name": tfds.features.Text()})


def pack_shard(
    path: Path, shard: Shard, threads: int, count: Callable[[int], Any], corrupt: Callable[[BadImage], None]
) -> ShardReport:
    """Writes one shard beside and renames it.

    Args:
        path: of the file.
        shard: what it is to hold.
        threads: that read, decode, resize and encode.
        count: is told of images that are done.
        corrupt: is told of an image that cannot be read or decoded.

    Raises:
        JaxnextError: the file cannot be written.
    """
    # By its name: the types of the extension module are not known.
    array_record_module: Any = importlib.import_module("array_record.python.array_record_module")
    features = features_of(shard.source.classes, shard.pixels)
    failed: list[BadImage] = []
    contents = ContentDigest()
    images = size = 0
    try:
        with whole_file(path, "wb") as file:
            # One record a group, so that each can be read by itself. The writer opens the file by its name.
            writer = array_record_module.ArrayRecordWriter(file.name, "group_size:1")
            for i, (file_digest, result) in _prepared(shard, threads):
                contents.add(shard.source, i, file_digest)
                if isinstance(result, BadImage):
                    failed.append(result)
                    corrupt(result)
                else:
                    record = _record(features, result, int(shard.source.labels[i]), shard.source.names[i])
                    writer.write(record)
                    images, size = images + 1, size + len(record)
                count(1)
            writer.close()
            reader = array_record_module.ArrayRecordReader(file.name)
            found = reader.num_records()
            reader.close()
            if found != images:
                raise JaxnextError(f"{path}: the shard cannot be written (of {images} images {found} are in it)")
            digest = sha256(Path(file.name))
    except RuntimeError as error:  # all that array_record raises
        raise JaxnextError(f"{path}: the shard cannot be written ({one_line(error)})") from error
    return ShardReport(images, size, digest, contents.hexdigest(), failed)


def _prepared(shard: Shard, threads: int) -> Iterator[tuple[int, _Stored]]:
    """The images in order: number, digest of the file, and bytes to store or why there are none."""
    waiting: collections.deque[tuple[int, Future[_Stored]]] = collections.deque()
    with ThreadPoolExecutor(threads) as executor:
        try:
            for i in shard.numbers:
                waiting.append((i, executor.submit(_stored, shard.source, i, shard.pixels)))
                if len(waiting) > threads * _AHEAD:
                    number, future = waiting.popleft()
                    yield number, future.result()
            while waiting:
                number, future = waiting.popleft()
                yield number, future.result()
        finally:
            executor.shutdown(cancel_futures=True)


def _stored(source: ImageSource, index: int, pixels: Pixels | None) -> _Stored:
    digest = b""
    try:
        data = source.read(index)
        digest = hashlib.sha256(data).digest()
        # Of files that are kept as they are only whether they can be decoded matters; the least choosy rules tell.
        image = decode(data, pixels or _AS_STORED)
    except (CorruptImage, OSError) as error:
        return digest, bad_image(source.location(index), error)
    if pixels is None:
        return digest, data
    file = io.BytesIO()
    # The fastest of PNG's levels takes a quarter of the default's time for a tenth more bytes.
    Image.fromarray(np.asarray(resize(image, pixels))).save(file, "PNG", compress_level=1)
    return digest, file.getvalue()


def _record(features: Any, image: bytes, label: int, name: str) -> bytes:
    """An example as TFDS serializes it. Deterministic, which its own call leaves to chance."""
    import tensorflow_datasets as tfds

    encoded = features.encode_example({"image": image, "label": label, "file_name": name})
    example = tfds.core.ExampleSerializer(features.get_serialized_info()).get_tf_example(encoded)
    return example.SerializeToString(deterministic=True)
