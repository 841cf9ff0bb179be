"""The training and the validation images of a run, as the config's ``data`` section names them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxnext.config.sections import DataConfig
from jaxnext.data.folder_index import FolderIndex
from jaxnext.data.holdout import stratified_split
from jaxnext.data.listing import describe_left_out, list_folder
from jaxnext.data.source import (
    FolderSource,
    Source,
    Subset,
    check_other_folders,
    class_folder_source,
    digits_source,
    some,
)
from jaxnext.data.sources.tfds import check_apart, open_tfds, tfds_source, validation_split
from jaxnext.errors import JaxnextError, UsageError


class Splits(NamedTuple):
    """The data of a training run."""

    train: Source
    validation: Source
    classes: tuple[str, ...]
    """class names in label order, those of the training images"""
    description: tuple[str, ...]
    """lines for the user: counts, and everything that was left out or is unusual"""
    warnings: tuple[str, ...] = ()
    """lines for the user: what could not be kept for the next start"""


def load_splits(data: DataConfig, seed: int, index: Path | None = None, tfds_folder: str | None = None) -> Splits:
    """Training and validation images as the config's ``data`` section names them.

    Args:
        data: that section.
        seed: decides which images are held out where there are none for validation.
        index: folder in which listings of folders are kept from one start to the next; None: nothing is kept.
        tfds_folder: where data sets of TFDS are where ``data.path`` is None.

    Raises:
        UsageError: ``data.path`` is needed and None, or a setting is given that this ``data.source`` does not read.
        JaxnextError: the folders or the data set are not as expected, or hold too few images to split.
    """
    _refuse_unread(data)
    if data.source == "folder":
        return _folder_splits(data, seed, index)
    if data.source == "digits":
        return _hold_out(digits_source(), "digits", data.val_fraction, seed, "")
    return _tfds_splits(data, seed, index, tfds_folder)


def _refuse_unread(data: DataConfig) -> None:
    """Refuses a path or split that would be passed over, so that nobody takes the digits' result for his folder's."""
    unread = {"digits": ("path", "train_split", "val_split"), "folder": ("train_split", "val_split")}
    for name in unread.get(data.source, ()):
        value = getattr(data, name)
        if value != getattr(DataConfig(), name):
            source = "folder" if name == "path" else "tfds"
            raise UsageError(
                f"data.{name}: expected no value, since data.source {data.source} does not read it, found {value!r}; "
                f"leave it out, or set --data.source {source}"
            )


def _folder_splits(data: DataConfig, seed: int, store: Path | None) -> Splits:
    if data.path is None:
        raise UsageError("data.path: expected the folder that holds train/, found null; give --data.path FOLDER")
    if "://" in data.path:
        raise UsageError(
            f"data.path: expected a local folder of images, found {data.path}; in a bucket only packed ones are read, "
            "with --data.source tfds"
        )
    root = Path(data.path)
    if not root.exists():
        raise JaxnextError(f"data.path {root}: no such folder; give the one that holds train/ with --data.path FOLDER")
    if not root.is_dir():
        raise JaxnextError(f"data.path {root}: expected the folder that holds train/, found a file")
    folders, files, hidden = list_folder(root)
    if "train" not in folders:
        found = some([*(f"{name}/" for name in folders), *files]) or "an empty folder"
        raise JaxnextError(f"data.path {root}: expected train/ with a folder for each class in it, found {found}")
    train, warnings = _indexed(root / "train", None, store)
    others = [name for name in folders if name not in ("train", "val", "test")]
    # test/ is expected beside the others, and read by predict.py.
    unread = [*(f"{name}/" for name in others), *files, *hidden]
    left_out = (f"{root}: left out {some(unread)}",) if unread else ()
    if "val" not in folders:
        check_other_folders(root, others, train.classes)
        splits = _hold_out(train, str(root / "train"), data.val_fraction, seed, "; add val/")
        return splits._replace(description=splits.description + left_out, warnings=tuple(warnings))
    validation, more = _indexed(root / "val", train.classes, store)
    lines = _describe(train, str(root / "train"), validation, str(root / "val"))
    lines += _left_out(str(root / "train"), train) + _left_out(str(root / "val"), validation)
    return Splits(train, validation, train.classes, (*lines, *left_out), (*warnings, *more))


def _indexed(path: Path, classes: Sequence[str] | None, store: Path | None) -> tuple[FolderSource, list[str]]:
    """A folder of class folders, listed with the help of its index, and what is to be said of that."""
    if store is None:
        return class_folder_source(path, classes), []
    index = FolderIndex(store, path)
    source = class_folder_source(path, classes, index)
    index.save()
    return source, index.lines


def _tfds_splits(data: DataConfig, seed: int, store: Path | None, default: str | None) -> Splits:
    builder = open_tfds(data.source, data.path, default)
    train, warnings = tfds_source(builder, data.train_split, "data.train_split", store)
    name = f"{builder.data_dir} {data.train_split}"
    missing = sorted(set(range(len(train.classes))) - set(train.labels.tolist()))
    lines = [f"{name}: no images of {len(missing)} of the classes: {some(train.classes, missing)}"] if missing else []
    split = data.val_split or validation_split(builder)
    if split is None:
        splits = _hold_out(train, name, data.val_fraction, seed, "; name a split with --data.val_split")
        return splits._replace(description=(*splits.description, *lines), warnings=tuple(warnings))
    validation, more = tfds_source(builder, split, "data.val_split", store)
    check_apart(train, validation, data.train_split, split)
    lines = _describe(train, name, validation, split) + lines
    return Splits(train, validation, train.classes, tuple(lines), (*warnings, *more))


def _describe(train: Source, train_name: str, validation: Source, name: str) -> list[str]:
    lines = [
        f"{train_name}: {len(train):,} images of {len(train.classes):,} classes for training; "
        f"{name}: {len(validation):,} for validation"
    ]
    unseen = sorted(set(range(len(train.classes))) - set(validation.labels.tolist()))
    if unseen:
        lines.append(f"{name}: no images of {len(unseen)} of the classes: {some(train.classes, unseen)}")
    return lines


def _hold_out(source: Source, name: str, fraction: float, seed: int, remedy: str) -> Splits:
    train, validation = stratified_split(source.labels, fraction, seed)
    if not len(validation):
        raise JaxnextError(f"{name}: no class has two images, so that none can be held out for validation{remedy}")
    lines = [
        f"{name}: {len(source):,} images of {len(source.classes):,} classes, {len(train):,} for training and "
        f"{len(validation):,} ({100 * fraction:g} % of each class, seed {seed}) for validation"
    ]
    single = np.flatnonzero(np.bincount(source.labels, minlength=len(source.classes)) == 1).tolist()
    if single:
        lines.append(f"{name}: a single image, which stays in training, in classes: {some(source.classes, single)}")
    if isinstance(source, FolderSource):
        lines += _left_out(name, source)
    return Splits(Subset(source, train), Subset(source, validation), source.classes, tuple(lines))


def _left_out(name: str, source: FolderSource) -> list[str]:
    line = describe_left_out(source.left_out)
    return [f"{name}: {line}"] if line else []
