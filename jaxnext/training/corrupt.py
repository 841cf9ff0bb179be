"""What a run does with images that cannot be read: end at the first, or go on without them and list them."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from jaxnext.data.decode import cannot_be_read
from jaxnext.data.loader import ImageError
from jaxnext.data.verify import BadImage
from jaxnext.errors import JaxnextError
from jaxnext.files import CORRUPT_COLUMNS, check_corrupt, write_corrupt
from jaxnext.training.processes import Processes


class CorruptImages:
    """The images of a run that could not be read so far; with ``skip``, also in ``corrupt.csv`` in its folder.

    Each of several processes meets those of its rows; all know of all once they have shared.
    """

    def __init__(self, skip: bool, output: Path, warn: Callable[[str], None]) -> None:
        """Args: whether the run goes on without them; its folder; shows a line to the user."""
        self.skip, self.file = skip, output / "corrupt.csv"
        self._warn = warn
        self._reasons: dict[str, str] = {}
        self._news: list[tuple[str, str]] = []
        self._written = 0

    def __len__(self) -> int:
        return len(self._reasons)

    def record(self, errors: Sequence[ImageError]) -> None:
        """The images of a batch that failed. Each is named once.

        Raises:
            JaxnextError: the run is to stop at the first.
        """
        for error in errors:
            if not self.skip:
                raise JaxnextError(cannot_be_read(error.name, error.reason))
            if self._add(error.name, error.reason):
                self._news.append((error.name, error.reason))

    def share(self, processes: Processes) -> None:
        """Take up what the other processes have met since they last shared; all must call it together."""
        if not self.skip:
            return
        for text in processes.allgather(json.dumps(self._news)):
            for name, reason in json.loads(text):
                self._add(name, reason)
        self._news.clear()

    def verified(self, bad: Sequence[BadImage], images: int) -> None:
        """What a scan of so many images found.

        Raises:
            JaxnextError: there are some, and the run is to stop.
        """
        for name, reason in bad:
            if self.skip:
                self._add(name, reason)
            else:
                self._warn(cannot_be_read(name, reason))
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
            try:
                rows = list(csv.reader(io.StringIO(self.file.read_text(encoding="utf-8", errors="surrogateescape"))))
                if tuple(rows[0]) != CORRUPT_COLUMNS:
                    raise ValueError(f"the columns are {rows[0]}")
                self._reasons = dict(rows[1:]) | self._reasons
            except (OSError, ValueError, IndexError, csv.Error) as error:
                raise JaxnextError(
                    f"{self.file}: expected a CSV file with the columns path,error, found another; move it away"
                ) from error
            self._written = len(rows) - 1

    def write(self) -> None:
        """Write the list, if it has grown."""
        if len(self._reasons) == self._written:
            return
        write_corrupt(self.file, self._reasons.items())
        self._written = len(self._reasons)

    def summary(self) -> str:
        """How many, as the end of a line; empty where there are none."""
        if not self._reasons:
            return ""
        return f"; {len(self):,} {'image' if len(self) == 1 else 'images'} left out as corrupt"

    def _add(self, name: str, reason: str) -> bool:
        if name in self._reasons:
            return False
        self._reasons[name] = reason
        self._warn(f"{cannot_be_read(name, reason)}; training goes on without it")
        return True
