"""TensorBoard's event files, in the folder ``tensorboard`` of the run."""

import dataclasses
from typing import Any

from jaxnext.training.logger import Begun, Shown, as_floats, library


@dataclasses.dataclass(frozen=True)
class Logger:
    """Event files for TensorBoard, in the run's folder ``tensorboard`` (pip install 'jaxnext[tensorboard]')."""

    images: bool = True
    """true: the pictures of the first batch and of validation too"""

    def check(self) -> None:
        """Raise a ``UsageError`` where tensorboardX is missing."""
        library("tensorboard", "tensorboardX")

    def open(self, begun: Begun) -> "Log":
        """Begin another event file in the folder; TensorBoard hides what earlier ones have of later epochs."""
        purge = None if begun.id is None else begun.epochs + 1
        folder = begun.folder / "tensorboard"
        # Files are named by the second in which they are begun; one begun in the same second would replace the other.
        suffix = f".{len(list(folder.glob('events.*')))}"
        tensorboard = library("tensorboard", "tensorboardX")
        return Log(tensorboard.SummaryWriter(str(folder), purge_step=purge, filename_suffix=suffix))


class Log:
    """Writes the events."""

    id = "tensorboard"

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def show(self, shown: Shown) -> None:
        """Write events with the epoch as their step."""
        for name, value in shown.scalars.items():
            self._writer.add_scalar(name, value, shown.epoch)
        for name, image in shown.images.items():
            self._writer.add_image(name, image, shown.epoch, dataformats="HWC")
        for name, values in shown.histograms.items():
            if (finite := as_floats(values)).size:
                self._writer.add_histogram(name, finite, shown.epoch)
        self._writer.flush()

    def close(self, failed: bool) -> None:
        """Close the file."""
        del failed
        self._writer.close()
