"""Images of a prepared TFDS data set: random access to the encoded bytes, without TensorFlow."""

import dataclasses
import errno
import functools
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxnext.data.image_source import file_identity, some, stamp_of
from jaxnext.data.index_file import IndexFile
from jaxnext.data.tfds_builder import INFO, open_folder, open_name
from jaxnext.errors import JaxnextError, UsageError, one_line
from jaxnext.file_digests import SUMS, check_sums

FILE_NAMES = ("file_name", "filename", "image/filename", "image/file_name")
"""Features that hold the name of an image's file."""
VALIDATION = ("validation", "val")
"""Splits that are taken for validation where none is named; test never is."""
_AT_A_TIME = 128


@dataclasses.dataclass(frozen=True, eq=False)
class Parser:
    """Parses the features of an example that are needed, and no others, and leaves the image encoded."""

    features: Any
    """TFDS's: those that are needed"""
    image: str
    """name of the feature"""
    label: str
    file_name: str | None

    def __call__(self, record: bytes) -> Mapping[str, Any]:
        """The features of a serialized example."""
        import tensorflow_datasets as tfds

        return self.features.deserialize_example_np(record, decoders={self.image: tfds.decode.SkipDecoding()})


@dataclasses.dataclass(frozen=True, eq=False)
class TfdsSource:
    """The images of one split of a prepared TFDS data set."""

    records: Any
    """TFDS's data source: serialized examples by number"""
    parser: Parser
    files: tuple[str, ...]
    """the shards"""
    places: NDArray[np.int64]
    """``[n, 2]``: index into ``files`` of each image, and its number in the shard"""
    names: tuple[str, ...]
    labels: NDArray[np.int32]
    classes: tuple[str, ...]
    digests: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """hexadecimal SHA-256 by shard, of those of which the data set notes one"""
    in_memory = False

    def __len__(self) -> int:
        return len(self.names)

    def location(self, index: int) -> str:
        """Shard, number in it and name of one image."""
        shard, number = self.places[index].tolist()
        return f"{self.files[shard]}[{number}] ({self.names[index]})"

    def read(self, index: int) -> bytes:
        """Bytes of one image file; ``OSError`` where the record cannot be read."""
        try:
            return self.parser(self.records[index])[self.parser.image]
        except Exception as error:  # the reader of array_record raises RuntimeError, its parser others
            raise _os_error(one_line(error), in_bucket="://" in self.files[self.places[index, 0]]) from error

    def stamp(self, index: int) -> int:
        """A number from 1 to 2**63 - 1 that changes when the image's shard does; ``OSError`` where that is gone."""
        shard, number = self.places[index].tolist()
        text = f"{_version(self.files[shard])} {number}".encode()
        return stamp_of(text)


def open_tfds(name: str | None, path: str | None, default: str | None) -> Any:
    """The builder of the data set that the config names.

    Args:
        name: of the data set; None: the one in the folder ``path``.
        path: ``data.path``.
        default: the folder with all data sets where ``path`` is None.

    Raises:
        UsageError, JaxnextError: as ``open_folder`` and ``open_name``; the data set is not in ``array_record`` files;
            its metadata are not those that were packed.
    """
    if path is None and (name is None or default is None):
        raise UsageError("data.path: expected the folder of a TFDS data set, found null; give --data.path FOLDER")
    builder = open_name(name, str(path or default)) if name is not None else open_folder(str(path))
    formats = sorted(form.value for form in builder.info.available_file_formats()) or ["none"]
    if "array_record" not in formats:
        raise JaxnextError(
            f"{builder.data_dir}: expected a data set in array_record files, found {' and '.join(formats)}"
            f"; prepare it with: tfds build {builder.name} --file_format=array_record"
        )
    _check_sums(builder)
    return builder


def _check_sums(builder: Any) -> None:
    """Refuse metadata that are not what was packed; the shards are long and are read on request."""
    from etils import epath

    folder: Any = epath.Path(builder.data_dir)
    if not (folder / SUMS).exists():
        return
    for place, problem in check_sums(folder, lambda name: "array_record" not in name):
        if problem is not None:
            raise JaxnextError(
                f"{place}: {problem}; copy it again or pack the data set again, or delete {SUMS} beside it where you "
                "have changed it yourself"
            )


def validation_split(builder: Any) -> str | None:
    """The split that is taken for validation where the config names none, None where there is none."""
    return next((name for name in VALIDATION if name in builder.info.splits), None)


def tfds_source(builder: Any, split: str, key: str, store: Path | None = None) -> tuple[TfdsSource, list[str]]:
    """The images of a split, and lines for the user.

    Args:
        builder: of the data set.
        split: name of a split, or a part of one as TFDS writes it: ``train[:80%]``.
        key: of the config that names the split, for messages.
        store: folder in which labels and names are kept from one start to the next, for reading them takes reading
            the whole split.

    Raises:
        UsageError: there is no such split.
        JaxnextError: not one image and one label in an example, a shard that is missing or damaged, no images,
            unlabelled ones, or some twice.
    """
    import tensorflow_datasets as tfds
    from etils import epath

    parser = _parser(builder)
    instructions = _instructions(builder, split, key)
    files: tuple[str, ...] = tuple(dict.fromkeys(os.fspath(instruction.filename) for instruction in instructions))
    for file in files:
        if not epath.Path(file).exists():
            raise JaxnextError(f"{file}: no such file; {INFO} beside it lists it as a shard of the data set")
    number = {file: i for i, file in enumerate(files)}
    spans = [(number[os.fspath(i.filename)], np.arange(i.skip, i.skip + i.take)) for i in instructions]
    places = np.concatenate([np.stack([np.full(len(span), file), span], 1) for file, span in spans])
    if len(np.unique(places, axis=0)) < len(places):
        raise UsageError(f"{key}: expected each image once, found some twice in {split!r}")
    records = builder.as_data_source(split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
    classes = tuple(builder.info.features[parser.label].names)
    labels, names, lines = _labels_and_names(records, parser, files, places, store)
    if not parser.file_name:
        names = _numbered(builder, files, places)
    unlabelled = np.count_nonzero((labels < 0) | (labels >= len(classes)))
    if unlabelled:
        raise JaxnextError(
            f"{builder.data_dir}: expected labels from 0 to {len(classes) - 1} in the split {split}, found another in "
            f"{unlabelled:,} of {len(labels):,} images"
        )
    return TfdsSource(records, parser, files, places, tuple(names), labels, classes, _digests(builder, files)), lines


def check_apart(train: TfdsSource, validation: TfdsSource, train_split: str, val_split: str) -> None:
    """Refuses a validation split that shares images with the training split.

    Raises:
        UsageError: it does.
    """
    keys = [{(source.files[file], number) for file, number in source.places.tolist()} for source in (train, validation)]
    if shared := len(keys[0] & keys[1]):
        raise UsageError(
            f"data.source.val_split: expected other images than those of "
            f"data.source.train_split {train_split!r}, found {shared:,} "
            f"of them in {val_split!r}"
        )


def _parser(builder: Any) -> Parser:
    """Of the features that hold image, label and, where there is one, file name.

    Of several images or labels, those count that the data set itself names for supervised learning.
    """
    import tensorflow_datasets as tfds

    features = builder.info.features
    kinds: dict[str, Any] = dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}
    images = [n for n, f in kinds.items() if isinstance(f, tfds.features.Image) and f.np_dtype == np.uint8]
    labels = [n for n, f in kinds.items() if isinstance(f, tfds.features.ClassLabel)]
    supervised = builder.info.supervised_keys
    if isinstance(supervised, tuple) and len(supervised) == 2:
        first, second = supervised
        if first in images and second in labels:
            images, labels = [first], [second]
    if len(images) != 1 or len(labels) != 1:
        found = ", ".join(f"{name} ({type(kinds[name]).__name__})" for name in sorted(kinds)) or type(features).__name__
        raise JaxnextError(
            f"{builder.data_dir}: expected one Image of 8 bits and one ClassLabel in an example, found {found}"
        )
    texts = [n for n in FILE_NAMES if n in kinds and isinstance(kinds[n], tfds.features.Text)]
    image, label, file_name = images[0], labels[0], texts[0] if texts else None
    needed = {name: kinds[name] for name in (image, label, file_name) if name is not None}
    return Parser(tfds.features.FeaturesDict(needed), image, label, file_name)


def _digests(builder: Any, files: tuple[str, ...]) -> dict[str, str]:
    noted = (builder.info.metadata or {}).get("sha256")
    known = noted if isinstance(noted, dict) else {}
    return {file: known[name] for file in files if (name := file.rpartition("/")[2]) in known}


def _instructions(builder: Any, split: str, key: str) -> Sequence[Any]:
    splits = builder.info.splits
    try:
        instructions = splits[split].file_instructions
    except (ValueError, KeyError, AssertionError) as error:
        raise UsageError(
            f"{key}: expected one of the splits {some(sorted(splits))} of {builder.data_dir}, or a part of one such as "
            f"{min(splits)}[:80%], found {split!r}"
        ) from error
    if not sum(instruction.take for instruction in instructions):
        raise JaxnextError(f"{key}: the split {split!r} of {builder.data_dir} holds no images")
    return [instruction for instruction in instructions if instruction.take]


def _labels_and_names(
    records: Any, parser: Parser, files: tuple[str, ...], places: NDArray[np.int64], store: Path | None
) -> tuple[NDArray[np.int32], list[str], list[str]]:
    """Labels, names (empty where there is no such feature) and lines for the user; read once, then kept."""
    lines: list[str] = []
    parts = [
        *files,
        *map(_version, files),
        hashlib.sha256(places.tobytes()).hexdigest(),
        parser.label,
        str(parser.file_name),
    ]
    kept = IndexFile(store, "\n".join(parts), f"labels of {files[0].rpartition('/')[0]}") if store else None
    if kept is not None and (found := kept.read(lines)) is not None:
        # The key names the shards, their times and these features: what it finds was written from the same.
        return found[0]["labels"], found[1]["names"], lines
    labels, names = np.empty(len(places), np.int32), []
    for start in range(0, len(places), _AT_A_TIME):
        wanted = range(start, min(start + _AT_A_TIME, len(places)))
        try:
            examples = list(map(parser, records.__getitems__(list(wanted))))
        except Exception as error:  # as in TfdsSource.read
            shards = sorted({files[i] for i in places[wanted.start : wanted.stop, 0]})
            raise JaxnextError(f"{', '.join(shards)}: the shard cannot be read ({one_line(error)})") from error
        labels[wanted.start : wanted.stop] = [example[parser.label] for example in examples]
        if parser.file_name:
            names += [example[parser.file_name].decode("utf-8", "surrogateescape") for example in examples]
    if kept is not None:
        kept.write({"labels": labels}, {"names": names}, lines)
    return labels, names, lines


def _numbered(builder: Any, files: tuple[str, ...], places: NDArray[np.int64]) -> list[str]:
    """Names SPLIT:INDEX, with the index in the whole split, so that a part of a split has the same ones."""
    beginnings: dict[str, tuple[str, int]] = {}
    for name, split in builder.info.splits.items():
        begin = 0
        for path, length in zip(split.filepaths, split.shard_lengths, strict=True):
            beginnings[os.fspath(path)] = (name, begin)
            begin += length
    return [f"{beginnings[files[file]][0]}:{beginnings[files[file]][1] + number}" for file, number in places.tolist()]


def _os_error(message: str, in_bucket: bool) -> OSError:
    """With the number that a system call gave, so that a fault of the machine is not taken for one of the image."""
    if call := re.match(r"\w+\(\) failed: ([^;]+)", message):
        return OSError(next((n for n in errno.errorcode if os.strerror(n) == call[1]), errno.EIO), call[1])
    # Of a bucket only what has arrived can be corrupt.
    return OSError(errno.EIO, message) if in_bucket and not message.startswith("Corrupted ") else OSError(message)


def _version(file: str) -> str:
    if "://" in file:
        return _version_in_bucket(file)
    return file_identity(os.stat(file)).decode()  # noqa: PTH116


@functools.cache
def _version_in_bucket(file: str) -> str:
    """Asked once by a process, for each image's stamp would else wait for the network; 0: a time that is not known."""
    from etils import epath

    status = epath.Path(file).stat()
    return f"{status.length} {status.mtime or 0} {file}"
