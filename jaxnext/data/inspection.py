"""What a data set holds: every image decoded once, before a night of training is lost on it."""

import collections
import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jaxnext.data.bad_image import BadImage, CorruptImage, bad_image
from jaxnext.data.decode import decode
from jaxnext.data.duplicates import colours, nearly_same, perceptual_hash, same, small_picture
from jaxnext.data.image_source import ImageSource
from jaxnext.data.modes import orientation_of
from jaxnext.data.pixels import Pixels
from jaxnext.data.remarks import remarks_of
from jaxnext.data.splits import Splits
from jaxnext.data.threads import in_order
from jaxnext.types import UInt8Image

_CHUNK = 32


class Facts(NamedTuple):
    """What an image that can be read is like."""

    width: int
    """of the image as training sees it before it is resized, and so turned upright"""
    height: int
    mode: str
    """Pillow's name for the kind of pixels in the file"""
    orientation: int
    """in EXIF, from 1 to 8; of a TIFF and a HEIC image, which Pillow turns itself, 1"""
    remarks: tuple[str, ...]
    """as ``remarks_of`` has them"""
    content: bytes
    """SHA-256 of the file"""
    hash: int
    """of ``perceptual_hash``"""
    colours: bytes
    """of ``colours``"""


class Group(NamedTuple):
    """Images of which each is the same as another, or nearly."""

    numbers: tuple[int, ...]
    is_same: bool
    """whether they are one file, byte for byte"""
    across: bool
    """whether some are for training and some for validation"""
    labels_differ: bool

    @property
    def is_wrong(self) -> bool:
        """Whether the result of a training run would be spoiled."""
        return self.across or self.labels_differ


@dataclasses.dataclass(frozen=True, eq=False)
class Inspection:
    """What was found in a data set. The images for training come first in the count, then those for validation."""

    splits: Splits
    pixels: Pixels
    """by which images were decoded; the size does not matter"""
    facts: dict[int, Facts]
    """by number, of the images that can be read"""
    bad: dict[int, BadImage]
    """by number, those that cannot"""
    groups: tuple[Group, ...]
    """duplicates, the worst first: in training and in validation, with different labels"""

    def __len__(self) -> int:
        return len(self.splits.train) + len(self.splits.validation)

    def place(self, number: int) -> tuple[ImageSource, int]:
        """Return the images among which one is, and its number there."""
        return _place(self.splits, number)

    def is_validation(self, number: int) -> bool:
        """Whether an image is for validation."""
        return number >= len(self.splits.train)

    def location(self, number: int) -> str:
        """Where an image is: the full path of a file."""
        source, index = self.place(number)
        return source.location(index)

    def class_name(self, number: int) -> str:
        """The class of an image; empty where it has none."""
        source, index = self.place(number)
        label = int(source.labels[index])
        return self.splits.classes[label] if label >= 0 else ""

    def decoded(self, number: int) -> UInt8Image:
        """Return the pixels of an image; ``CorruptImage`` or ``OSError`` where it cannot be read any more."""
        source, index = self.place(number)
        return decode(source.read(index), self.pixels)

    def counts(self) -> NDArray[np.int64]:
        """Return how many images of each class are for training and for validation, int64 ``[classes, 2]``."""
        sources = (self.splits.train, self.splits.validation)
        most = len(self.splits.classes)
        return np.stack([np.bincount(each.labels[each.labels >= 0], minlength=most) for each in sources], 1)

    @property
    def is_wrong(self) -> bool:
        """Whether an image cannot be read, or a duplicate would spoil the result."""
        return bool(self.bad) or any(group.is_wrong for group in self.groups)


def inspect(splits: Splits, pixels: Pixels, threads: int, done: Callable[[int], object]) -> Inspection:
    """Decode every image once, in threads, and look for duplicates.

    Args:
        splits: the images.
        pixels: say how images are decoded; the size does not matter.
        threads: that decode.
        done: told how many more images have been looked at.

    Raises:
        JaxnextError: reading fails for no fault of an image, as ``bad_image`` has it.
    """
    facts: dict[int, Facts] = {}
    bad: dict[int, BadImage] = {}
    total = len(splits.train) + len(splits.validation)
    chunks = [range(first, min(first + _CHUNK, total)) for first in range(0, total, _CHUNK)]
    calls = (functools.partial(_look, splits, pixels, numbers) for numbers in chunks)
    for numbers, results in zip(chunks, in_order(calls, threads), strict=True):
        for number, result in zip(numbers, results, strict=True):
            if isinstance(result, Facts):
                facts[number] = result
            else:
                bad[number] = result
        done(len(numbers))
    return Inspection(splits, pixels, facts, bad, tuple(_groups(splits, facts)))


def _place(splits: Splits, number: int) -> tuple[ImageSource, int]:
    first = len(splits.train)
    return (splits.train, number) if number < first else (splits.validation, number - first)


def _look(splits: Splits, pixels: Pixels, numbers: Sequence[int]) -> list[Facts | BadImage]:
    found: list[Facts | BadImage] = []
    for number in numbers:
        source, index = _place(splits, number)
        try:
            found.append(_facts(source.read(index), pixels))
        except (CorruptImage, OSError) as error:
            found.append(bad_image(source.location(index), error))
    return found


def _facts(data: bytes, pixels: Pixels) -> Facts:
    said: list[tuple[str, int, tuple[str, ...]]] = []

    def look(image: Image.Image) -> None:
        said.append((image.mode, orientation_of(image), remarks_of(image)))

    image = decode(data, pixels, look)
    height, width, _ = image.shape
    small = small_picture(image)
    return Facts(width, height, *said[0], hashlib.sha256(data).digest(), perceptual_hash(small), colours(small))


def _groups(splits: Splits, facts: dict[int, Facts]) -> list[Group]:
    """Duplicates, the worst first, and then by number."""
    numbers, known = list(facts), list(facts.values())
    first = same([each.content for each in known])
    # One of each file is compared with the others.
    chosen = np.unique(first)
    near = nearly_same([known[i].hash for i in chosen], [known[i].colours for i in chosen])
    members = collections.defaultdict(list)
    for i, group in enumerate(near[np.searchsorted(chosen, first)].tolist()):
        members[group].append(i)
    labels = np.concatenate([splits.train.labels, splits.validation.labels])
    groups = []
    for places in members.values():
        if len(places) < 2:
            continue
        group = [numbers[i] for i in places]
        parts = {number < len(splits.train) for number in group}
        is_same = len({known[i].content for i in places}) == 1
        groups.append(Group(tuple(group), is_same, len(parts) > 1, len(set(labels[group].tolist()) - {-1}) > 1))
    return sorted(groups, key=lambda group: (-2 * group.across - group.labels_differ, group.numbers))
