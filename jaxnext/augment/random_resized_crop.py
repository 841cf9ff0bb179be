"""A random part of an image, resized."""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxnext.augment.operations.draws import check_range, uniform
from jaxnext.augment.operations.packed import pack, unpack
from jaxnext.augment.operations.resample import down_the_columns_first, resample, weights
from jaxnext.config.values import require

_TRIES = 10


class Drawn(NamedTuple):
    """Which pixels of each image of a batch count for each pixel of the result; see ``operations.resample``."""

    column: NDArray[np.int32]
    """``[B, width]``"""
    column_weight: NDArray[np.int32]
    """``[B, width, taps]``"""
    row: NDArray[np.int32]
    """``[B, height]``"""
    row_weight: NDArray[np.int32]
    """``[B, height, taps]``"""
    down_first: NDArray[np.bool_]
    """``[B]``"""


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """A part of an image, of a random area and shape, is resized to the image's size, or to another.

    Ranges and pixels are those of torchvision's ``RandomResizedCrop`` on Pillow images, bilinear and antialiased. What
    is cropped is the image of ``data.image_size``.
    """

    scale: tuple[float, ...] = (0.08, 1.0)
    """least and largest share of the image's area"""
    ratio: tuple[float, ...] = (0.75, 1.3333333333333333)
    """least and largest width of the part, as a multiple of its height; all equally likely in its logarithm"""
    size: int | tuple[int, ...] | None = None
    """pixels on each side of the result, or [height, width]; null: those of the image. Validation and prediction see
    images of data.image_size all the same"""

    def __post_init__(self) -> None:
        key = "random_resized_crop"
        check_range(self.scale, f"{key}.scale", 0.0, 1.0)
        check_range(self.ratio, f"{key}.ratio", 0.0, math.inf)
        sides = self.size if isinstance(self.size, tuple) else (self.size or 1,) * 2
        ok = len(sides) == 2 and min(sides) >= 1 and self.size != 0
        found = list(self.size) if isinstance(self.size, tuple) else self.size
        require(ok, f"augment.{key}.size", "at least 1 pixel, [height, width], or null", found)

    def size_after(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Return height and width of what becomes of images of a size."""
        if self.size is None:
            return image_size
        height, width = self.size if isinstance(self.size, tuple) else (self.size, self.size)
        return height, width

    def draw(self, seed: int, step: int, rows: int, image_size: tuple[int, int]) -> Drawn:
        """Draw the part of each image: of ten areas and shapes the first that fits, else the middle."""
        numbers = uniform(seed, step, rows, 2 + 2 * _TRIES).tolist()
        return self.drawn([self.part(row, image_size) for row in numbers], image_size)

    def drawn(self, parts: list[tuple[int, int, int, int]], image_size: tuple[int, int]) -> Drawn:
        """Return what ``apply`` needs for parts ``(top, left, height, width)`` of images."""
        top, left, height, width = np.array(parts, np.int64).reshape(-1, 4).T
        after = self.size_after(image_size)
        return Drawn(
            *weights(left, width, image_size[1], after[1]),
            *weights(top, height, image_size[0], after[0]),
            down_the_columns_first(height, width, after),
        )

    def apply(self, images: jax.Array, drawn: Drawn) -> jax.Array:
        """Crop and resize each image."""

        # A part of an image that becomes as large as the image is not made lower.
        ordered = self.size is not None

        def one(image: jax.Array, row: Drawn) -> jax.Array:
            column, column_weight, first_row, row_weight, down_first = (jnp.asarray(values) for values in row)
            order = down_first if ordered else None
            return unpack(resample(pack(image), (column, column_weight), (first_row, row_weight), order))

        return jax.vmap(one)(images, jax.tree.map(jnp.asarray, drawn))

    def part(self, row: list[float], image_size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return ``(top, left, height, width)`` of a part from numbers uniform in 0 to below 1."""
        at_y, at_x, *tries = row
        whole_height, whole_width = image_size
        lower, upper = (math.log(value) for value in self.ratio)
        for share, shape in zip(tries[::2], tries[1::2], strict=True):
            area = whole_height * whole_width * (self.scale[0] + share * (self.scale[1] - self.scale[0]))
            aspect = math.exp(lower + shape * (upper - lower))
            height, width = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
            if 0 < width <= whole_width and 0 < height <= whole_height:
                top = int(at_y * (whole_height - height + 1))
                return top, int(at_x * (whole_width - width + 1)), height, width
        height, width, shape = whole_height, whole_width, whole_width / whole_height
        if shape < self.ratio[0]:
            height = round(width / self.ratio[0])
        elif shape > self.ratio[1]:
            width = round(height * self.ratio[1])
        return (whole_height - height) // 2, (whole_width - width) // 2, height, width
