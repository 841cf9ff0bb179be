"""The training and the validation images of a run, opened by the source that the config chooses."""

import dataclasses
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from jaxnext.config.sections import DataConfig
from jaxnext.data.holdout import grouped, stratified_folds, stratified_split
from jaxnext.data.image_source import ImageSource, Subset, some
from jaxnext.data.selection import choose_classes, take_share
from jaxnext.errors import JaxnextError, UsageError, printable


class Splits(NamedTuple):
    """The data of a training run."""

    train: ImageSource
    validation: ImageSource
    classes: tuple[str, ...]
    """class names in label order, those of the training images"""
    description: tuple[str, ...]
    """lines for the user: counts, and everything that was left out or is unusual"""
    warnings: tuple[str, ...] = ()
    """lines for the user: what could not be kept for the next start"""
    test: ImageSource | None = None
    """images of neither, where nothing was to be held out"""


@dataclasses.dataclass(frozen=True)
class OpenContext:
    """What a source is told when it is opened, beside its own options."""

    path: str | tuple[str, ...] | None = None
    """``data.path``: one or several"""
    val_fraction: float = 0.2
    """share of each class to hold out where there are no images for validation"""
    seed: int = 0
    """decides which those are"""
    index: Path | None = None
    """folder in which listings are kept from one start to the next; None: nothing is kept"""
    tfds_folder: str | None = None
    """where data sets of TFDS are where ``path`` is None"""

    labels: str | None = None
    """``data.labels``"""
    image_column: str | None = None
    label_column: str | None = None
    group_column: str | None = None
    folds: int | None = None
    fold: int | None = None
    skip_missing: bool = False
    """whether images that are listed and not there are left out, and no error"""
    hold_out: bool = True
    """whether some images are held out where there are none for validation; else there are none, and those for testing
    are given, too"""

    def one_path(self) -> str | None:
        """Return ``path`` where a source reads one alone.

        Raises:
            UsageError: there are several.
        """
        if isinstance(self.path, tuple):
            raise UsageError(f"data.path: expected one path for this data.source, found {list(self.path)}")
        return self.path


class SplitsSource(Protocol):
    """The class ``Source`` of a file in ``data/sources``; its fields are its options."""

    def open(self, context: OpenContext) -> Splits:
        """Return the images for training and validation; a ``JaxnextError`` where they are not as expected."""
        ...


def load_splits(data: DataConfig, seed: int, index: Path | None = None, tfds_folder: str | None = None) -> Splits:
    """Return training and validation images as the config's ``data`` section names them.

    Args:
        data: that section.
        seed: as in ``OpenContext``.
        index: as in ``OpenContext``.
        tfds_folder: as in ``OpenContext``.

    Raises:
        UsageError: ``data.path`` is needed and None, or given to a source that does not read it.
        JaxnextError: the folders or the data set are not as expected, or hold too few images to split.
    """
    source: SplitsSource = data.source.build()
    if data.labels is not None and data.source.type != "folder":
        raise UsageError(f"data.labels: expected no value with data.source {data.source.type}, found {data.labels!r}")
    columns = (data.labels, data.image_column, data.label_column, data.group_column)
    skip = data.on_corrupt == "skip"
    context = OpenContext(data.path, data.val_fraction, seed, index, tfds_folder, *columns, data.folds, data.fold, skip)
    train, validation, _, lines, warnings, _ = source.open(context)
    if data.classes is not None:
        train, validation, line = choose_classes(train, validation, data.classes)
        lines = (*lines, line)
    if data.share < 1:
        train, validation, line = take_share(train, validation, data.share, seed)
        lines = (*lines, line)
    return Splits(train, validation, train.classes, tuple(map(printable, lines)), tuple(map(printable, warnings)))


def describe(train: ImageSource, train_name: str, validation: ImageSource, name: str) -> list[str]:
    """Return lines for the user: how many images there are, and which classes have none for validation."""
    lines = [
        f"{train_name}: {len(train):,} images of {len(train.classes):,} classes for training; "
        f"{name}: {len(validation):,} for validation"
    ]
    unseen = sorted(set(range(len(train.classes))) - set(validation.labels.tolist()))
    if unseen:
        lines.append(f"{name}: no images of {len(unseen)} of the classes: {some(train.classes, unseen)}")
    return lines


def split(
    train: ImageSource,
    name: str,
    validation: ImageSource | None,
    validation_name: str,
    context: OpenContext,
    remedy: str = "",
    groups: NDArray[np.int64] | None = None,
) -> Splits:
    """Return the images as a source has them split; where it has none for validation, or for folds, part held out.

    Args:
        train: images for training, or all of them.
        name: of these, for lines and messages.
        validation: images for validation, if there are any; with ``data.folds`` they are left out.
        validation_name: of these.
        context: has the share, the folds and the seed.
        remedy: as for ``hold_out``.
        groups: as for ``hold_out``.

    Raises:
        JaxnextError: as ``hold_out``.
    """
    if validation is None and not context.hold_out:
        line = f"{name}: {len(train):,} images of {len(train.classes):,} classes"
        return Splits(train, Subset(train, np.zeros(0, np.int64)), train.classes, (line,))
    if validation is None or context.folds is not None:
        splits = hold_out(train, name, context, remedy, groups)
        if validation is None:
            return splits
        line = f"{validation_name}: {len(validation):,} images left out, since data.folds are of those for training"
        return splits._replace(description=(*splits.description, line))
    _check_fold(context)
    return Splits(train, validation, train.classes, tuple(describe(train, name, validation, validation_name)))


def _check_fold(context: OpenContext) -> None:
    if context.fold is not None and context.folds is None:
        raise UsageError(f"data.fold: expected data.folds with it, found {context.fold} alone")


def hold_out(
    source: ImageSource,
    name: str,
    context: OpenContext,
    remedy: str = "",
    groups: NDArray[np.int64] | None = None,
) -> Splits:
    """Return a source's images split in two, a share or a fold of each class for validation.

    Args:
        source: all of them.
        name: of the source, for lines and messages.
        context: has the share, the folds and the seed.
        remedy: the end of the message where there are too few: how else to have images for validation.
        groups: number of the group of each image, int64 ``[n]``; a group is not divided. None: each is one of its own.

    Raises:
        UsageError: ``data.fold`` without ``data.folds``.
        JaxnextError: no class has two images, or there are too few for the folds.
    """
    _check_fold(context)
    labels, seed, folds = source.labels, context.seed, context.folds
    if folds is not None:
        count = len(source) if groups is None else len(np.unique(groups))
        if count < folds:
            what = "images" if groups is None else "groups"
            raise JaxnextError(f"{name}: expected {what} for data.folds {folds}, found {count}")
        fold = stratified_folds(labels, folds, seed) if groups is None else grouped(labels, groups, [1] * folds, seed)
        train, validation = np.flatnonzero(fold != context.fold), np.flatnonzero(fold == context.fold)
        part = f"fold {context.fold} of {folds}"
    elif groups is not None:
        shares = [1 - context.val_fraction, context.val_fraction]
        held_out = grouped(labels, groups, shares, seed)
        train, validation = np.flatnonzero(held_out == 0), np.flatnonzero(held_out == 1)
        part = f"about {100 * context.val_fraction:g} % of each class, in whole groups"
    else:
        train, validation = stratified_split(labels, context.val_fraction, seed)
        part = f"{100 * context.val_fraction:g} % of each class"
    if not len(validation) or not len(train):
        what = "class has two images" if groups is None else "two groups"
        raise JaxnextError(f"{name}: no {what}, so that none can be held out for validation{remedy}")
    lines = [
        f"{name}: {len(source):,} images of {len(source.classes):,} classes, {len(train):,} for training and "
        f"{len(validation):,} ({part}, seed {seed}) for validation"
    ]
    if groups is not None or folds is not None:
        lines += _absent(name, source, train, "training") + _absent(name, source, validation, "validation")
        return Splits(Subset(source, train), Subset(source, validation), source.classes, tuple(lines))
    single = np.flatnonzero(np.bincount(source.labels, minlength=len(source.classes)) == 1).tolist()
    if single:
        lines.append(f"{name}: a single image, which stays in training, in classes: {some(source.classes, single)}")
    return Splits(Subset(source, train), Subset(source, validation), source.classes, tuple(lines))


def _absent(name: str, source: ImageSource, chosen: NDArray[np.int64], what: str) -> list[str]:
    counts = np.bincount(source.labels[chosen], minlength=len(source.classes))
    absent = np.flatnonzero(counts == 0).tolist()
    if not absent:
        return []
    return [f"{name}: no images for {what} of {len(absent)} of the classes: {some(source.classes, absent)}"]
