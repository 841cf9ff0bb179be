"""What a run does with images that cannot be read: end at the first, or go on without them and list them."""

import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from jaxnext.data.bad_image import BadImage
from jaxnext.data.corrupt_list import check_corrupt, read_corrupt, write_corrupt
from jaxnext.errors import JaxnextError
from jaxnext.training.processes import Processes


class CorruptImages:
    """The images of a run that could not be read so far; with ``skip``, also in ``corrupt.csv`` in its folder.

    Each of several processes meets those of its rows; all know of all once they have shared.
    """

    def __init__(self, skip: bool, output: Path, warn: Callable[[str], None]) -> None:
        """Begin with none.

        Args:
            skip: whether the run goes on without them.
            output: its folder.
            warn: shows a line to the user.
        """
        self.skip, self.file = skip, output / "corrupt.csv"
        self._warn = warn
        self._reasons: dict[str, str] = {}
        self._news: list[BadImage] = []
        self._written, self._posted = 0, 0

    def __len__(self) -> int:
        return len(self._reasons)

    def __contains__(self, name: str) -> bool:
        return name in self._reasons

    def record(self, errors: Sequence[BadImage]) -> None:
        """Take up the images of a batch that failed. Each is named once.

        Raises:
            JaxnextError: the run is to stop at the first.
        """
        for error in errors:
            if not self.skip:
                raise JaxnextError(str(error))
            if self._add(error):
                self._news.append(error)

    def share(self, processes: Processes) -> None:
        """Take up what the other processes have met since they last shared; all must call it together."""
        if not self.skip:
            return
        for text in processes.allgather(json.dumps(self._news)):
            for name, reason in json.loads(text):
                self._add(BadImage(name, reason))
        self._news.clear()
        self._posted = 0

    def post(self, processes: Processes) -> None:
        """Tell the first process of the images just met, before the step that goes on without them.

        The first has what was posted once that step is done, so that a checkpoint after it may be saved with the list.
        """
        if processes.first or len(self._news) == self._posted:
            return
        processes.post("corrupt", json.dumps(self._news[self._posted :]))
        self._posted = len(self._news)

    def take_up(self, processes: Processes) -> None:
        """Take up what other processes have posted."""
        for text in processes.posted("corrupt"):
            for name, reason in json.loads(text):
                self._add(BadImage(name, reason))

    def verified(self, bad: Sequence[BadImage], images: int) -> None:
        """Take up what a scan of so many images found.

        Raises:
            JaxnextError: there are some, and the run is to stop.
        """
        for image in bad:
            if self.skip:
                self._add(image)
            else:
                self._warn(str(image))
        if bad and not self.skip:
            raise JaxnextError(
                f"{len(bad):,} of {images:,} images cannot be read and are listed above; repair or remove them, or "
                "train without them with --data.on_corrupt skip"
            )

    def begin(self, resumed: bool) -> None:
        """Take up the list of the run that is resumed; a new run has none.

        Raises:
            JaxnextError: the list cannot be read, or another file is in its place.
        """
        if not self.skip:
            return
        if not resumed:
            check_corrupt(self.file)
            write_corrupt(self.file, ())
        elif self.file.exists():
            listed = read_corrupt(self.file)
            self._reasons = dict(listed) | self._reasons
            self._written = len(listed)

    def write(self) -> None:
        """Write the list, if it has grown."""
        if len(self._reasons) == self._written:
            return
        write_corrupt(self.file, itertools.starmap(BadImage, self._reasons.items()))
        self._written = len(self._reasons)

    def summary(self) -> str:
        """Say how many, as the end of a line; empty where there are none."""
        if not self._reasons:
            return ""
        return f"; {len(self):,} {'image' if len(self) == 1 else 'images'} left out as corrupt"

    def _add(self, image: BadImage) -> bool:
        if image.name in self._reasons:
            return False
        self._reasons[image.name] = image.reason
        self._warn(f"{image}; training goes on without it")
        return True
