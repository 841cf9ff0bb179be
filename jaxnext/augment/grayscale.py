"""Colours to grey."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxnext.augment.operations.color import grayscale
from jaxnext.augment.operations.draws import check_probability, uniform
from jaxnext.augment.operations.packed import pack, unpack


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """An image loses its colours with a probability, as by torchvision's ``RandomGrayscale`` on Pillow images."""

    probability: float = 0.1
    """of an image to become grey"""

    def __post_init__(self) -> None:
        check_probability(self.probability, "grayscale.probability")

    def draw(self, seed: int, step: int, rows: int, image_size: tuple[int, int]) -> NDArray[np.bool_]:
        """Draw for each image whether it becomes grey: bool ``[rows]``."""
        return uniform(seed, step, rows, 1)[:, 0] < self.probability

    def apply(self, images: jax.Array, drawn: NDArray[np.bool_]) -> jax.Array:
        """Make the images that were drawn grey."""
        return jnp.where(jnp.asarray(drawn)[:, None, None, None], unpack(grayscale(pack(images))), images)
