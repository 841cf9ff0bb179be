"""Weights in PyTorch's own format, which ``torch.load(weights_only=True)`` reads."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from jaxnext.inference.weights_exporter import WeightsExporter

if TYPE_CHECKING:
    from jaxnext.inference.exporter import Net


@dataclasses.dataclass(frozen=True)
class Exporter(WeightsExporter):
    """It has no place for class names; see ``weights.export``."""

    def write(self, net: "Net", output: Path) -> None:
        """Write the file; see ``inference.exporter.Exporter``."""
        self.write_weights(net, output, "pth")

    def lines(self, net: "Net", output: Path, classes: Path | None) -> list[str]:
        """Return what the user is told; also how the order of the classes is to be had."""
        lines = super().lines(net, output, classes)
        if net.classes and classes is None:
            hint = f"write their order beside it with --classes {output.stem}.txt"
            lines.insert(0, f"a .pth file has no place for class names; {hint}")
        return lines
