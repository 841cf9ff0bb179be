"""Weights in a .safetensors file, under PyTorch's names."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from jaxnext.inference.weights_exporter import WeightsExporter

if TYPE_CHECKING:
    from jaxnext.inference.exporter import Net


@dataclasses.dataclass(frozen=True)
class Exporter(WeightsExporter):
    """Class names and preprocessing are in the file's metadata; see ``weights.export``."""

    def write(self, net: "Net", output: Path) -> None:
        """Write the file; see ``inference.exporter.Exporter``."""
        self.write_weights(net, output, "safetensors")
