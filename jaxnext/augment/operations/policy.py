"""What the automatic augmentations have in common: how pixels are moved, and what stands where none comes to."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import jax

from jaxnext.augment.operations.operation import Operation, Operations, apply, batch
from jaxnext.config.values import require


@dataclasses.dataclass(frozen=True, kw_only=True)
class PolicyOptions:
    """Options of torchvision's automatic augmentations that say how rotations, shears and translations look."""

    interpolation: Literal["nearest", "bilinear"] = "nearest"
    """where a pixel that is moved comes from: the nearest one, or four by their distances"""
    fill: int | tuple[int, ...] = 0
    """level that stands where nothing is moved to, 0 to 255, or those of red, green and blue"""

    def __post_init__(self) -> None:
        key = f"augment.{type(self).__module__.rpartition('.')[2]}.fill"
        levels = self.fill if isinstance(self.fill, tuple) else (self.fill,) * 3
        ok = len(levels) == 3 and all(0 <= level <= 255 for level in levels)
        found = list(self.fill) if isinstance(self.fill, tuple) else self.fill
        require(ok, key, "one level or three, from 0 to 255", found)

    def batch(self, rows: Sequence[Sequence[Operation]]) -> Operations:
        """Return the operations of each image as arrays; see ``operation.batch``."""
        return batch(rows, self.interpolation == "bilinear")

    def apply(self, images: jax.Array, drawn: Operations) -> jax.Array:
        """Change each image by its operations; see ``operation.apply``."""
        red, green, blue = self.fill if isinstance(self.fill, tuple) else (self.fill,) * 3
        return apply(images, drawn, red | green << 8 | blue << 16)
