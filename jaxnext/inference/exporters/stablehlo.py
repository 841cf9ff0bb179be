"""StableHLO, by ``jax.export``: one program for CPUs, GPUs and TPUs."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import jax

    from jaxnext.inference.exporter import Net
    from jaxnext.types import UInt8Image

PROGRAM = "program.jax_export"
"""``jax.export.deserialize`` reads it; its ``mlir_module_serialized`` is StableHLO as others read it."""
ABOUT = "about.json"


@dataclasses.dataclass(frozen=True)
class Exporter:
    """A folder of two files: the program, from any number of images to numbers of the classes; and what they are.

    Images are uint8 ``[n, height, width, 3]`` in RGB, of the net's size; they are normalised inside.
    """

    values: Literal["logits", "probabilities"] = "logits"
    """what the program gives"""

    def check(self) -> None:
        """Nothing is missing: JAX writes it."""

    def write(self, net: "Net", output: Path) -> None:
        """Write the folder; see ``inference.exporter.Exporter``."""
        import jax
        from jax import export

        from jaxnext.engine import averaging
        from jaxnext.engine.checkpoint import preprocessing
        from jaxnext.models.folding import fold
        from jaxnext.ops.cpu import onednn

        variables, model = fold(net.variables, net.model), net.model

        def answer(images: "jax.Array") -> "jax.Array":
            logits = averaging.logits(variables, images, model=model, temperature=net.temperature)
            return jax.nn.softmax(logits) if self.values == "probabilities" else logits

        (count,) = export.symbolic_shape("n")
        # oneDNN is called by a name that other processes need not have.
        with onednn.disabled("it is not in what is exported"):
            images = jax.ShapeDtypeStruct((count, *net.pixels.shape), np.uint8)
            program = export.export(jax.jit(answer), platforms=("cpu", "cuda", "tpu"))(images)
        about = {
            "program": PROGRAM,
            "input": {"dtype": "uint8", "shape": ["n", *net.pixels.shape], "channels": "RGB"},
            "output": {"values": self.values, "dtype": str(program.out_avals[0].dtype), "temperature": net.temperature},
            "classes": list(net.classes),
            "preprocessing": {**preprocessing(net.meta.config), **net.pixels.to_json()},
        }
        output.mkdir()
        (output / PROGRAM).write_bytes(program.serialize())
        (output / ABOUT).write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def run(self, net: "Net", output: Path, images: "Sequence[UInt8Image]") -> NDArray[np.floating]:
        """Compute what ``jax.export.deserialize`` reads from the file; see ``inference.exporter.Exporter``."""
        import jax
        from jax import export

        from jaxnext.data.resize import resize
        from jaxnext.inference.export_check import in_batches

        program = export.deserialize(bytearray((output / PROGRAM).read_bytes()))
        found = in_batches(jax.jit(program.call), np.stack([resize(image, net.pixels) for image in images]))
        with np.errstate(divide="ignore"):
            return np.log(found) if self.values == "probabilities" else found
