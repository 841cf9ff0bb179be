"""The handwritten digits that scikit-learn bundles: a data set that needs no download."""

import dataclasses
import importlib.util
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jaxnext.data.image_source import MemorySource
from jaxnext.data.splits import OpenContext, Splits, hold_out
from jaxnext.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Source:
    """scikit-learn's 1,797 bundled handwritten digits; without options."""

    def open(self, context: OpenContext) -> Splits:
        """Return the digits, part of them held out.

        Raises:
            UsageError: ``data.path`` is given, which nobody reads.
        """
        if context.path is not None:
            # So that nobody takes the digits' result for that of his folder.
            raise UsageError(
                "data.path: expected no value, since data.source digits does not read it, found "
                f"{context.path!r}; leave it out, or set --data.source folder"
            )
        return hold_out(digits_source(), "digits", context)


def digits_source() -> MemorySource:
    """The 1,797 handwritten digits bundled with scikit-learn, 8x8 grey levels from 0 to 16, as 8-bit grey PNGs."""
    images, target = _digits()
    levels = np.rint(images.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    names = tuple(f"digit_{number:04d}.png" for number in range(len(levels)))
    return MemorySource(tuple(map(_png, levels)), names, target.astype(np.int32), tuple("0123456789"))


def _digits() -> tuple[NDArray[np.floating], NDArray[np.integer]]:
    """Grey levels ``[n, 64]`` and digits ``[n]``.

    Read from the file that scikit-learn holds: importing the package takes a second, most of it for SciPy. Where a
    release keeps them elsewhere, it is asked.
    """
    package = importlib.util.find_spec("sklearn")
    if package is not None and package.origin is not None:
        file = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
        if file.is_file():
            rows = np.loadtxt(file, delimiter=",")
            return rows[:, :-1], rows[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    return digits.data, digits.target


def _png(levels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG")
    return file.getvalue()
