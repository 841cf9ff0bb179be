"""ONNX, for onnxruntime and whatever else reads it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jaxnext.errors import UsageError

if TYPE_CHECKING:
    from jaxnext.inference.exporter import Net
    from jaxnext.types import UInt8Image


@dataclasses.dataclass(frozen=True)
class Exporter:
    """One file of ONNX with the folded net, for any number of images (pip install 'jaxnext[onnx]').

    It gives ``logits`` and ``probabilities``; names of classes and preprocessing are JSON in its metadata, where
    its SHA-256 is, too.
    """

    preprocessing: bool = False
    """true: takes uint8 [n, height, width, 3] in RGB and normalises; false: normalised float32 [n, 3, height, width]"""
    resize: bool = False
    """true, with preprocessing: takes images of any size and resizes them as Pillow does"""
    opset: int = 0
    """version of ONNX's operations, at least 18; 0: the newest that the installed onnxruntime takes"""

    def __post_init__(self) -> None:
        from jaxnext.inference.onnx.runtime import OLDEST_OPSET

        if self.resize and not self.preprocessing:
            raise ValueError("format.resize: expected format.preprocessing true with it, found false")
        if self.opset and self.opset < OLDEST_OPSET:
            raise ValueError(f"format.opset: expected at least {OLDEST_OPSET}, found {self.opset}")

    def check(self) -> None:
        """Raise a ``UsageError`` where a library is missing, with the pip command that installs it."""
        from jaxnext.inference.onnx.runtime import library, newest_opset

        for name in ("onnx", "onnxruntime"):
            library(name, "--format onnx")
        if self.opset > newest_opset():
            raise UsageError(
                f"format.opset: expected at most {newest_opset()}, the newest that the installed onnxruntime takes, "
                f"found {self.opset}"
            )

    def write(self, net: "Net", output: Path) -> None:
        """Write one file; see ``inference.exporter.Exporter``."""
        from jaxnext.file_digests import UNSEALED, sealed
        from jaxnext.inference.onnx.model import build

        model = build(net, bytes_in=self.preprocessing, resize=self.resize, opset=self.opset)
        model.metadata_props.add(key="sha256", value=UNSEALED)
        output.write_bytes(sealed(model.SerializeToString()))

    def run(self, net: "Net", output: Path, images: "Sequence[UInt8Image]") -> NDArray[np.floating]:
        """Compute logits with onnxruntime; see ``inference.exporter.Exporter``.

        Where the file resizes it is given images that have the net's size already, so that all else is compared.
        """
        from jaxnext.data.resize import resize
        from jaxnext.inference.onnx.model import INPUT, LOGITS
        from jaxnext.inference.onnx.runtime import session
        from jaxnext.normalization import normalize

        seen = np.stack([resize(image, net.pixels) for image in images])
        if not self.preprocessing:
            normal = normalize(seen, np.float32, net.model.mean, net.model.std)  # pyright: ignore[reportArgumentType]
            seen = np.ascontiguousarray(np.asarray(normal).transpose(0, 3, 1, 2))
        (logits,) = session(output.read_bytes()).run([LOGITS], {INPUT: seen})
        return logits
