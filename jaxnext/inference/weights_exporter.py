"""What formats share that hold a net's weights under PyTorch's names, and no program."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from jaxnext.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxnext.inference.exporter import Net
    from jaxnext.types import UInt8Image
    from jaxnext.weights.export import ExportFormat


@dataclasses.dataclass(frozen=True)
class WeightsExporter:
    """Writes weights, of a net without a trained head too; what was written is read again, and is equal to the bit.

    PyTorch is not run for it: this package does without.
    """

    def check(self) -> None:
        """Nothing is missing: files are written without PyTorch."""

    def weights(self, output: Path) -> Path:
        """Return the file of weights in what is written."""
        return output

    def write_weights(self, net: "Net", output: Path, form: "ExportFormat") -> None:
        """Write them.

        Args:
            net: that is exported.
            output: what ``write`` writes.
            form: of the file.

        Raises:
            UsageError: a temperature, for which there is no place.
            JaxnextError: as ``weights.export.export_weights``.
        """
        from jaxnext.weights.export import export_weights, trained_leaves

        if net.temperature != 1:
            raise UsageError(
                f"--temperature {net.temperature:g}: expected 1 for {form}, which holds weights alone and has no "
                "place for it; onnx and stablehlo divide the logits"
            )
        leaves = trained_leaves(net.variables, net.meta)
        export_weights(leaves, net.meta, self.weights(output), form, str(net.checkpoint))

    def run(self, net: "Net", output: Path, images: "Sequence[UInt8Image]") -> None:
        """Compare the weights in the file, bit for bit; nothing is computed.

        Raises:
            JaxnextError: one differs.
        """
        from jaxnext.weights.export import check_weights, trained_leaves

        check_weights(trained_leaves(net.variables, net.meta), self.weights(output), str(net.checkpoint))

    def lines(self, net: "Net", output: Path, classes: Path | None) -> list[str]:
        """Return what the user is told of what was written.

        Args:
            net: that was exported.
            output: where it is.
            classes: file with the class names, where one was asked for.
        """
        from jaxnext.tree import PARTS
        from jaxnext.weights.export import describe, trained_leaves

        about = describe(trained_leaves(net.variables, net.meta), net.meta)
        lines = [f"{output}: {about}; read again, equal to the bit (PyTorch was not run)"]
        if "head" not in net.meta.trained:
            parts = " and the ".join(part for part in PARTS if part in net.meta.trained)
            lines.insert(0, f"{net.checkpoint}: holds no trained head; {output} holds the {parts} alone")
        return lines
