"""A part of the images of a run: some of the classes, or a share of each."""

from collections.abc import Sequence

import numpy as np

from jaxnext.data.image_source import ImageSource, Subset, some
from jaxnext.errors import JaxnextError, UsageError


class ChosenClasses(Subset):
    """The images of some classes of another source, numbered in a given order."""

    def __init__(self, source: ImageSource, classes: Sequence[str]) -> None:
        """Args: the whole source; names of its classes."""
        number = np.full(len(source.classes), -1, np.int32)
        number[[source.classes.index(name) for name in classes]] = np.arange(len(classes))
        super().__init__(source, np.flatnonzero(number[source.labels] >= 0))
        self.labels = number[self.labels]
        self._classes = tuple(classes)

    @property
    def classes(self) -> tuple[str, ...]:
        """The chosen classes, in their order."""
        return self._classes


def choose_classes(
    train: ImageSource, validation: ImageSource, classes: Sequence[str]
) -> tuple[ImageSource, ImageSource, str]:
    """Return the images of some classes for training and for validation, and a line for the user.

    Args:
        train: images for training.
        validation: images for validation, of the same classes.
        classes: names of those to keep, in the order of their new labels.

    Raises:
        UsageError: a name that is no class of the data, or stands twice.
        JaxnextError: no images of these classes for training, or for validation.
    """
    known = train.classes
    for name in classes:
        if name not in known:
            raise UsageError(f"data.classes: expected some of the {len(known)} classes {some(known)}, found {name!r}")
        if list(classes).count(name) > 1:
            raise UsageError(f"data.classes: expected each class once, found {name!r} twice")
    chosen = ChosenClasses(train, classes), ChosenClasses(validation, classes)
    for source, what in zip(chosen, ("training", "validation"), strict=True):
        if not len(source):
            raise JaxnextError(f"data.classes: expected images for {what} of {some(classes)}, found none")
    line = (
        f"data.classes: {len(classes):,} of {len(known):,} classes, {len(chosen[0]):,} images for training and "
        f"{len(chosen[1]):,} for validation"
    )
    return *chosen, line


def take_share(
    train: ImageSource, validation: ImageSource, share: float, seed: int
) -> tuple[ImageSource, ImageSource, str]:
    """Return a share of the images of each class for training and for validation, and a line for the user.

    Args:
        train: images for training.
        validation: images for validation.
        share: above 0, at most 1; of a class at least one image is kept.
        seed: decides which.
    """
    parts: list[Subset] = []
    for number, source in enumerate((train, validation), start=1):
        by_class = np.argsort(source.labels, kind="stable")
        ends = np.cumsum(np.bincount(source.labels))
        kept = []
        for label, members in enumerate(np.split(by_class, ends[:-1])):
            if not len(members):
                continue
            count = max(round(len(members) * share), 1)
            generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0, 2, number, label])))
            kept.append(generator.permutation(members)[:count])
        parts.append(Subset(source, np.sort(np.concatenate(kept))))
    line = (
        f"data.share: {100 * share:g} % of each class (seed {seed}), {len(parts[0]):,} images for training and "
        f"{len(parts[1]):,} for validation"
    )
    return parts[0], parts[1], line
