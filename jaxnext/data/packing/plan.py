"""What is to be packed: the images of each split, and which of them go into which shard."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import PIL
import simplejpeg

from jaxnext.data.compat import shard_ends
from jaxnext.data.decode import PIXELS_VERSION
from jaxnext.data.folder_source import FolderSource, FolderTree, class_folder_source, files_source
from jaxnext.data.image_source import file_identity
from jaxnext.data.layout import find_layout
from jaxnext.data.listing import describe_left_out
from jaxnext.data.pixels import Pixels
from jaxnext.errors import JaxnextError, UsageError


class Shard(NamedTuple):
    """One file of a data set, before it is written."""

    split: str
    file: str
    """its name"""
    source: FolderSource
    numbers: range
    """of its images in the source"""
    pixels: Pixels | None
    """None: the bytes of the files"""
    digest: str
    """of all that decides what the file will hold"""


def dataset_name(folder: Path, name: str | None) -> str:
    """The name given, checked, or one made of the folder's.

    Raises:
        UsageError: TFDS does not take it, or none can be made.
    """
    made = re.sub(r"[^a-z0-9]+", "_", folder.absolute().name.lower()).strip("_") if name is None else name
    if re.fullmatch(r"[a-z][a-z0-9_]*", made):
        return made
    if name is None:
        raise UsageError(f"--name is missing: no name of a data set can be made of {folder.absolute().name!r}")
    raise UsageError(f"--name: expected small letters, digits and _, the first a letter, found {name!r}")


def find_splits(folder: Path) -> tuple[dict[str, FolderSource], list[str]]:
    """The images of each split by TFDS's name for it, and lines about what is left out.

    Images of ``test/`` that are in no class folders have the label -1, TFDS's for none.

    Raises:
        JaxnextError: as ``class_folder_source``; a name that is not UTF-8, or that TFDS would alter.
    """
    layout = find_layout(FolderTree(folder))
    train = class_folder_source(layout.train.path)
    sources = {"train": train}
    if layout.validation is not None:
        sources["validation"] = class_folder_source(layout.validation.path, train.classes)
    if layout.test is not None:
        labelled, test = bool(layout.test.list_folder()[0]), layout.test.path
        sources["test"] = class_folder_source(test, train.classes) if labelled else files_source([test])
    lines = [f"{folder}: left out {', '.join(layout.unread)}"] if layout.unread else []
    for source in sources.values():
        if line := describe_left_out(source.left_out):
            lines.append(f"{source.roots[0]}: {line}")
    for name in sources["train"].classes:
        if name != name.strip():
            raise JaxnextError(f"{folder}: expected class names without blanks at the ends, found {name!a}; rename it")
    for source in sources.values():
        for i, name in enumerate(source.names):
            if not _is_utf8(name):
                raise JaxnextError(f"{source.location(i)!a}: expected a file name in UTF-8; rename the file")
    return sources, lines


def plan_shards(name: str, sources: Mapping[str, FolderSource], pixels: Pixels | None) -> list[Shard]:
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


def _size_and_identity(source: FolderSource, index: int) -> tuple[int, str]:
    """Bytes of an image file, and what changes with it; nothing where it is gone, which is said when it is read."""
    try:
        status = Path(source.location(index)).stat()
    except OSError:
        return 0, ""
    return status.st_size, file_identity(status).decode()


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
