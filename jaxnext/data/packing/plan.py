"""What is to be packed: the images of each split, and which of them go into which shard."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import PIL
import simplejpeg

from jaxnext.data.archive import is_archive
from jaxnext.data.compat import shard_ends
from jaxnext.data.decode import PIXELS_VERSION
from jaxnext.data.image_source import ImageSource
from jaxnext.data.pixels import Pixels
from jaxnext.data.sources.folder import Source
from jaxnext.data.splits import OpenContext
from jaxnext.errors import JaxnextError, UsageError

_NAME = r"[a-z][a-z0-9_]*"


class Shard(NamedTuple):
    """One file of a data set, before it is written."""

    split: str
    file: str
    """its name"""
    source: ImageSource
    numbers: range
    """of its images in the source"""
    pixels: Pixels | None
    """None: the bytes of the files"""
    digest: str
    """of all that decides what the file will hold"""


def dataset_name(data: str | Sequence[str] | None, name: str | None) -> str:
    """The name given, checked, or one made of the folder's or archive's.

    Raises:
        UsageError: TFDS does not take it, or none can be made.
    """
    if name is not None:
        if re.fullmatch(_NAME, name):
            return name
        raise UsageError(f"--name: expected small letters, digits and _, the first a letter, found {name!r}")
    if not isinstance(data, str):
        raise UsageError("--name is missing: no name of a data set can be made of several paths")
    path = Path(data).absolute()
    own = path.stem if is_archive(path) else path.name
    made = re.sub(r"[^a-z0-9]+", "_", own.lower()).strip("_")
    if re.fullmatch(_NAME, made):
        return made
    raise UsageError(f"--name is missing: no name of a data set can be made of {own!r}")


def find_splits(context: OpenContext) -> tuple[dict[str, ImageSource], tuple[str, ...], tuple[str, ...]]:
    """The images of each split by TFDS's name for it; lines and warnings for the user.

    Images for testing that are in no class folders have the label -1, TFDS's for none.

    Args:
        context: where the images are; has ``hold_out`` False.

    Raises:
        JaxnextError: as the source that reads folders and archives; a name that is not UTF-8, or that TFDS would alter.
    """
    splits = Source().open(context)
    found = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    sources = {name: source for name, source in found.items() if source is not None and len(source)}
    for name in splits.classes:
        if name != name.strip():
            sentence = f"expected class names without blanks at the ends, found {name!a}; rename it"
            raise JaxnextError(f"{context.path}: {sentence}")
    for source in sources.values():
        for i, name in enumerate(source.names):
            if not _is_utf8(name):
                raise JaxnextError(f"{source.location(i)!a}: expected a file name in UTF-8; rename the file")
    return sources, splits.description, splits.warnings


def plan_shards(name: str, sources: Mapping[str, ImageSource], pixels: Pixels | None) -> list[Shard]:
    """The shards of a data set, as many as TFDS would make.

    Args:
        name: of the data set.
        sources: the images of each split.
        pixels: by which images are decoded and resized; None: the bytes of the files. The size of resized images is
            not known before they are; here it counts uncompressed.
    """
    shards = []
    rules = None if pixels is None else json.dumps(pixels.to_json())
    for split, source in sources.items():
        status = [_size_and_identity(source, i) for i in range(len(source))]
        total = sum(size for size, _ in status) if pixels is None else len(source) * pixels.bytes
        ends = shard_ends(total, len(source))
        count = len(ends)
        for number, (begin, end) in enumerate(zip([0, *ends], ends, strict=False)):
            versions = f"{PIXELS_VERSION} {PIL.__version__} {simplejpeg.__version__}"
            digest = hashlib.sha256(f"{rules} {versions}\0".encode())
            digest.update("\0".join(source.classes).encode())
            for i in range(begin, end):
                text = f"\0{source.labels[i]} {status[i][1]} {source.names[i]}"
                digest.update(text.encode())
            file = f"{name}-{split}.array_record-{number:05d}-of-{count:05d}"
            shards.append(Shard(split, file, source, range(begin, end), pixels, digest.hexdigest()))
    return shards


def _size_and_identity(source: ImageSource, index: int) -> tuple[int, int]:
    """Bytes of an image file, and what changes with it; nothing where it is gone, which is said when it is read."""
    try:
        identity = source.stamp(index)
        path = Path(source.location(index))
        # In an archive there is no such file.
        return path.stat().st_size if path.is_file() else len(source.read(index)), identity
    except OSError:
        return 0, 0


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
