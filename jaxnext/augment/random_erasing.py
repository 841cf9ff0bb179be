"""Random erasing of a rectangle."""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxnext.augment.operations.draws import check_probability, check_range, uniform
from jaxnext.config.values import require

_TRIES = 10


class Drawn(NamedTuple):
    """The rectangle of each image of a batch, in pixels; without height and width where nothing is erased."""

    top: NDArray[np.int32]
    """``[B]``, as the others"""
    left: NDArray[np.int32]
    height: NDArray[np.int32]
    width: NDArray[np.int32]


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """A rectangle of an image is painted over with a probability, as by torchvision's ``RandomErasing`` on bytes.

    It stands before the normalisation. Where a recipe of torchvision erases after it, with 0, that is the mean colour:
    here ``value: [124, 116, 104]``, for ImageNet's mean to half a level. torchvision's random noise is not offered
    (Zhong and others, https://arxiv.org/abs/1708.04896).
    """

    probability: float = 0.5
    """of an image to be erased in"""
    scale: tuple[float, ...] = (0.02, 0.33)
    """least and largest share of the image that the rectangle covers"""
    ratio: tuple[float, ...] = (0.3, 3.3)
    """least and largest height of the rectangle, as a multiple of its width; all equally likely in its logarithm"""
    value: int | tuple[int, ...] = 0
    """level that is painted, 0 to 255, or those of red, green and blue"""

    def __post_init__(self) -> None:
        key = "random_erasing"
        check_probability(self.probability, f"{key}.probability")
        check_range(self.scale, f"{key}.scale", 0.0, 1.0)
        check_range(self.ratio, f"{key}.ratio", 0.0, math.inf)
        levels = self.value if isinstance(self.value, tuple) else (self.value,) * 3
        ok = len(levels) == 3 and all(0 <= level <= 255 for level in levels)
        found = list(self.value) if isinstance(self.value, tuple) else self.value
        require(ok, f"augment.{key}.value", "one level or three, from 0 to 255", found)

    def draw(self, seed: int, step: int, rows: int, image_size: tuple[int, int]) -> Drawn:
        """Draw the rectangle of each image: of ten areas and shapes the first that is smaller than the image."""
        numbers = uniform(seed, step, rows, 3 + 2 * _TRIES).tolist()
        found = [self._rectangle(row, image_size) if row[0] < self.probability else (0, 0, 0, 0) for row in numbers]
        return Drawn(*np.array(found, np.int32).reshape(rows, 4).T)

    def apply(self, images: jax.Array, drawn: Drawn) -> jax.Array:
        """Paint over the rectangle of each image."""
        top, left, height, width = (jnp.asarray(values)[:, None, None, None] for values in drawn)
        y, x = (jnp.arange(side, dtype=jnp.int32) for side in images.shape[1:3])
        y, x = y.reshape(1, -1, 1, 1), x.reshape(1, 1, -1, 1)
        inside = (y >= top) & (y < top + height) & ((x >= left) & (x < left + width))
        value = jnp.broadcast_to(jnp.asarray(self.value, jnp.uint8).reshape(1, 1, 1, -1), (1, 1, 1, 3))
        return jnp.where(inside, value, images)

    def _rectangle(self, row: list[float], image_size: tuple[int, int]) -> tuple[int, int, int, int]:
        _, at_y, at_x, *tries = row
        area = image_size[0] * image_size[1]
        lower, upper = (math.log(value) for value in self.ratio)
        for share, shape in zip(tries[::2], tries[1::2], strict=True):
            covered = area * (self.scale[0] + share * (self.scale[1] - self.scale[0]))
            aspect = math.exp(lower + shape * (upper - lower))
            height, width = round(math.sqrt(covered * aspect)), round(math.sqrt(covered / aspect))
            if height < image_size[0] and width < image_size[1]:
                top = int(at_y * (image_size[0] - height + 1))
                return top, int(at_x * (image_size[1] - width + 1)), height, width
        return 0, 0, 0, 0
