"""What a format of export is: the files of ``inference/exporters`` are such."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from jaxnext.config.choice import Alternatives

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from jaxnext.data.pixels import Pixels
    from jaxnext.engine.checkpoint import Meta
    from jaxnext.models.classifier import Classifier
    from jaxnext.types import UInt8Image, Variables

FORMATS = Alternatives("format", "inference.exporters", "Exporter", light=True)


class Net(NamedTuple):
    """A trained net, as it is exported."""

    checkpoint: Path
    """that it was read from, for messages"""
    model: "Classifier"
    variables: "Variables"
    """as they were trained, in NumPy arrays; ``models.folding.fold`` folds them"""
    classes: tuple[str, ...]
    """names; none where no head is trained, which only formats that hold weights alone are given"""
    meta: "Meta"
    pixels: "Pixels"
    """the rules by which images become what the net sees"""
    temperature: float = 1.0
    """that the logits are divided by"""


class Exporter(Protocol):
    """What each file's frozen dataclass ``Exporter`` offers; its fields are the options.

    Files are imported in no time: what is heavy is imported inside the methods. A format that holds weights and no
    program extends ``weights_exporter.WeightsExporter``.
    """

    def check(self) -> None:
        """Raise a ``UsageError`` where a library is missing, with the pip command that installs it."""
        ...

    def write(self, net: Net, output: Path) -> None:
        """Write the net.

        Args:
            net: that is exported.
            output: file, or folder, that is not there yet; it is given its final name by whoever calls.

        Raises:
            JaxnextError: a net that the format cannot hold; names the part.
        """
        ...

    def run(self, net: Net, output: Path, images: "Sequence[UInt8Image]") -> "NDArray[np.floating] | None":
        """Compute with what was written, by the format's own runtime.

        Args:
            net: that was exported.
            output: what ``write`` has written.
            images: uint8 ``[height, width, 3]`` in RGB, of any sizes, not yet resized.

        Returns:
            logits, divided by the temperature, or their softmax's logarithms: ``[n, classes]``; ``None`` where the
            runtime is not installed, which the user is told.
        """
        ...
