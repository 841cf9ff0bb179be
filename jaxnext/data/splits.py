"""The training and the validation images of a run, opened by the source that the config chooses."""

import dataclasses
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from jaxnext.config.sections import DataConfig
from jaxnext.data.holdout import stratified_split
from jaxnext.data.image_source import ImageSource, Subset, some
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
    splits = source.open(OpenContext(data.path, data.val_fraction, seed, index, tfds_folder))
    lines, warnings = (tuple(map(printable, lines)) for lines in (splits.description, splits.warnings))
    return splits._replace(description=lines, warnings=warnings)


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


def hold_out(source: ImageSource, name: str, context: OpenContext, remedy: str = "") -> Splits:
    """Return a source's images split in two, a share of each class for validation.

    Args:
        source: all of them.
        name: of the source, for lines and messages.
        context: has the share and the seed.
        remedy: the end of the message where there are too few: how else to have images for validation.

    Raises:
        JaxnextError: no class has two images.
    """
    train, validation = stratified_split(source.labels, context.val_fraction, context.seed)
    if not len(validation):
        raise JaxnextError(f"{name}: no class has two images, so that none can be held out for validation{remedy}")
    lines = [
        f"{name}: {len(source):,} images of {len(source.classes):,} classes, {len(train):,} for training and "
        f"{len(validation):,} ({100 * context.val_fraction:g} % of each class, seed {context.seed}) for validation"
    ]
    single = np.flatnonzero(np.bincount(source.labels, minlength=len(source.classes)) == 1).tolist()
    if single:
        lines.append(f"{name}: a single image, which stays in training, in classes: {some(source.classes, single)}")
    return Splits(Subset(source, train), Subset(source, validation), source.classes, tuple(lines))
