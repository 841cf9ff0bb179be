"""Batches of predicted images into their places, each written down before and after."""

import collections
import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jaxnext.data.bad_image import BadImage, bad_image
from jaxnext.data.image_source import ImageSource
from jaxnext.data.loader import HostBatch
from jaxnext.errors import JaxnextError, printable
from jaxnext.inference.safe_names import safe_folders, safe_part
from jaxnext.inference.sorting.journal import ERRORS, SETTINGS, TABLE, Journal, Placement
from jaxnext.inference.sorting.placing import Mode, content_digest, free_names, move, write_copy, write_link
from jaxnext.inference.threshold import UNKNOWN


class Sorter:
    """Puts batches of images into their places.

    Attributes:
        failed: images that stay where they are.
        remarks: counts of what is to be said of images.
        counts: images of each folder.
    """

    def __init__(
        self,
        journal: Journal,
        source: ImageSource,
        mode: Mode,
        threshold: float | None,
        classes: Sequence[str],
        warn: Callable[[str], None],
    ) -> None:
        """Take the journal, the images by their number, what to do with them, the classes, and where to warn."""
        self.journal, self.source, self.mode, self.threshold, self.warn = journal, source, mode, threshold, warn
        self.classes = classes
        self.folders = safe_folders(classes, (UNKNOWN, TABLE, SETTINGS, ERRORS))
        self.failed: list[BadImage] = []
        self.remarks: collections.Counter[str] = collections.Counter()
        self.counts: collections.Counter[str] = collections.Counter()
        # Where many images have one name, the numbers that are known to be taken are not tried again.
        self.numbers: dict[tuple[str, str], int] = {}

    def place(self, host: HostBatch, probabilities: NDArray[np.floating]) -> None:
        """Put the images of a batch into their places."""
        for error in host.errors:
            self._fail(error)
        self.remarks.update(host.remarks)
        numbers: list[int] = []
        planned: list[Placement] = []
        contents: list[bytes] = []
        for position in np.flatnonzero(host.mask).tolist():
            number = int(host.ids[position])
            try:
                content = self.source.read(number)
            except OSError as error:
                self._fail(bad_image(self.source.location(number), error))
                continue
            numbers.append(number)
            contents.append(content)
            planned.append(self._planned(number, probabilities[position], content))
        if not planned:
            return
        self.journal.begin(planned)
        done = [place for place, content in enumerate(contents) if self._put(planned, place, numbers[place], content)]
        rows = [planned[place] for place in done]
        self.journal.append(rows)
        self.counts.update(row.destination.partition("/")[0] for row in rows)

    def _planned(self, number: int, probabilities: NDArray[np.floating], content: bytes) -> Placement:
        best = int(probabilities.argmax())
        is_known = self.threshold is None or float(probabilities[best]) >= self.threshold
        location = self.source.location(number)
        return Placement(
            location,
            self._free(self.folders[best] if is_known else UNKNOWN, self._name(location)),
            self.classes[best],
            f"{probabilities[best]:.9g}",
            self.mode,
            content_digest(content),
        )

    def _name(self, location: str) -> str:
        """The name that an image has if it is free; those in archives are anybody's."""
        name = location[location.rfind("/") + 1 :]
        return name if os.path.lexists(location) else safe_part(name)

    def _free(self, folder: str, name: str) -> str:
        """A place for an image: the first that no file has, and no image of this call."""
        names = free_names(name)
        for number in itertools.count(self.numbers.get((folder, name), 0) + 1):
            place = f"{folder}/{names(number)}"
            if not os.path.lexists(self.journal.folder / place):
                self.numbers[folder, name] = number
                # The next image may have this very name: x (2).jpg.
                self.numbers.setdefault((folder, names(number)), 1)
                return place
        raise AssertionError

    def _put(self, planned: list[Placement], place: int, number: int, content: bytes) -> bool:
        """Return whether an image is now in its place; where somebody has taken that meanwhile, in another."""
        while True:
            row = planned[place]
            origin, target = Path(row.source), self.journal.folder / row.destination
            try:
                target.parent.mkdir(exist_ok=True)
                if self.mode == "copy":
                    write_copy(content, origin if origin.is_file() else None, target)
                elif self.mode == "link":
                    write_link(origin, target)
                else:
                    move(origin, target)
                return True
            except FileExistsError:
                folder = row.destination.partition("/")[0]
                if not target.parent.is_dir():
                    raise JaxnextError(f"{target.parent}: expected a folder for images, found a file") from None
                planned[place] = row._replace(destination=self._free(folder, self._name(row.source)))
                self.journal.begin(planned)
            except OSError as error:
                if self.mode == "move" and error.filename == str(origin) and _is_of(error, origin):
                    self.warn(f"{printable(row.source)}: the image cannot be moved ({error.strerror})")
                    self.failed.append(BadImage(row.source, f"it cannot be moved: {error.strerror}"))
                    return False
                raise JaxnextError(f"{target}: the image cannot be written ({error.strerror or error})") from error

    def _fail(self, error: BadImage) -> None:
        self.warn(str(error))
        self.failed.append(error)


def _is_of(error: OSError, origin: Path) -> bool:
    return isinstance(error, PermissionError) or not os.path.lexists(origin)
