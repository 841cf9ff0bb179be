"""Images in WebDataset's ``.tar`` shards: files of one name and several extensions are one example."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxnext.data.archive import ArchiveSource
from jaxnext.data.archive_index import Entries, index_archive
from jaxnext.data.image_source import file_identity, label_numbers, some
from jaxnext.data.index_file import IndexFile
from jaxnext.data.layout import TEST, TRAIN, VALIDATION
from jaxnext.data.listing import is_image
from jaxnext.errors import JaxnextError, UsageError

_MAX_LABEL = 2**16
"""Bytes of a file with a label; a larger one is refused."""


class Shards(NamedTuple):
    """The shards of a data set."""

    train: list[Path]
    validation: list[Path]
    left_out: list[Path]


def find_shards(paths: Sequence[str], train: str | None, validation: str | None) -> Shards:
    """Return the shards below folders, and those given by their own paths.

    Args:
        paths: of folders and ``.tar`` files.
        train: pattern of the paths of training shards relative to their folder; None: those that begin with train,
            as a folder or a file; where none do, all.
        validation: the same for validation; None: those that begin with val, valid, validation or dev.

    Raises:
        UsageError: a pattern that no shard has.
        JaxnextError: a path is missing, or there are no shards for training.
    """
    found: list[tuple[Path, str]] = []
    for path in map(Path, paths):
        if not path.exists():
            raise JaxnextError(f"data.path {path}: no such file or folder; give the one that holds the .tar shards")
        below = sorted(path.rglob("*.tar")) if path.is_dir() else [path]
        found += [(file, file.relative_to(path).as_posix() if path.is_dir() else file.name) for file in below]
    where = ", ".join(paths)
    if not found:
        raise JaxnextError(f"data.path {where}: expected .tar shards, found none")
    names = {TRAIN: train, VALIDATION: validation, TEST: None}
    kinds: dict[tuple[str, ...], list[Path]] = {}
    for words, pattern in names.items():
        kinds[words] = [file for file, name in found if _is_of(name, words, pattern)]
        if pattern is not None and not kinds[words]:
            key = f"data.source.{'train' if words is TRAIN else 'validation'}"
            raise UsageError(f"{key}: expected a pattern of shards in {where}, found that none is like {pattern!r}")
    chosen, held = kinds[TRAIN], [file for file in kinds[VALIDATION] if train is None or file not in kinds[TRAIN]]
    if not chosen and not held:
        chosen = [file for file, _ in found if file not in kinds[TEST]]
    if not chosen:
        shown = some([name for _, name in found])
        raise JaxnextError(f"data.path {where}: expected shards for training, found {shown}")
    return Shards(chosen, held, [file for file, _ in found if file not in (*chosen, *held)])


def _is_of(name: str, words: Sequence[str], pattern: str | None) -> bool:
    if pattern is not None:
        return Path(name).match(pattern)
    return re.match(rf"({'|'.join(words)})(?![a-z])", name, re.IGNORECASE) is not None


def shard_source(path: Path, label: str, store: Path | None = None) -> tuple[ArchiveSource, list[str]]:
    """Return the images of a shard, in its order, and lines for the user. Its classes are its labels, sorted.

    Args:
        path: of the shard.
        label: extension of the files with labels, or ``json:KEY`` for a value in the ``.json`` files.
        store: folder in which what the shard holds is kept; None: nothing is kept.

    Raises:
        JaxnextError: as ``index_archive``; an example without a label, with two images, or with a label that is no text
            and no whole number.
    """
    entries, lines = index_archive(path, store)
    images, labels = _examples(path, entries, "json" if label.startswith("json:") else label)
    key = f"{path.absolute()}\n{file_identity(path.stat()).decode()}\n{label}"
    kept = IndexFile(store, key, f"labels of {path}") if store is not None else None
    known = kept.read(lines) if kept is not None else None
    texts = known[1]["labels"] if known is not None else _texts(path, entries, labels, label)
    if kept is not None and known is None:
        kept.write({}, {"labels": texts}, lines)
    classes = tuple(sorted(set(texts)))
    numbers = label_numbers(texts, classes)
    names = tuple(entries.names[i] for i in images)
    return ArchiveSource(str(path), "", entries.places[images], names, numbers, classes), lines


def _examples(path: Path, entries: Entries, extension: str) -> tuple[list[int], list[int]]:
    """The numbers of the images, and of the files with their labels."""
    images: dict[str, int] = {}
    labels: dict[str, int] = {}
    for i, name in enumerate(entries.names):
        folder, slash, last = name.rpartition("/")
        stem, _, kind = last.partition(".")
        key = f"{folder}{slash}{stem}"
        if kind.lower() == extension.lower():
            labels[key] = i
        elif is_image(name):
            if key in images:
                first = entries.names[images[key]]
                raise JaxnextError(f"{path}: expected one image in an example, found {first!a} and {name!a}")
            images[key] = i
    if not images:
        raise JaxnextError(f"{path}: expected images in the shard, found none among its {len(entries.names):,} files")
    without = [entries.names[i] for key, i in images.items() if key not in labels]
    if without:
        kinds = sorted({name.rpartition("/")[2].partition(".")[2] for name in entries.names})
        raise JaxnextError(
            f"{path}: expected a .{extension} file beside each image, found none beside {len(without):,} of "
            f"{len(images):,}: {some(without)}; there are files with {some(kinds)}; name one with --data.source.label"
        )
    return list(images.values()), [labels[key] for key in images]


def _texts(path: Path, entries: Entries, labels: Sequence[int], label: str) -> list[str]:
    texts = []
    with path.open("rb") as file:
        for i in labels:
            start, stored, size, _ = entries.places[i].tolist()
            name = entries.names[i]
            if size > _MAX_LABEL:
                raise JaxnextError(f"{path}: expected a label in {name!a}, found {size:,} bytes")
            file.seek(start)
            texts.append(_text(path, name, file.read(stored), label))
    return texts


def _text(path: Path, name: str, data: bytes, label: str) -> str:
    try:
        value = data.decode("utf-8-sig").strip()
        if label.startswith("json:"):
            value = json.loads(value)[label.removeprefix("json:")]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise JaxnextError(f"{path}: expected a label ({label}) in {name!a}, found another content") from error
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip() or "\n" in str(value):
        raise JaxnextError(f"{path}: expected a label of one line or a whole number in {name!a}, found {value!r:.80}")
    return str(value)
