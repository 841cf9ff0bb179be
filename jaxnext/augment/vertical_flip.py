"""Vertical flip."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxnext.augment.operations.draws import check_probability, uniform


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """An image is turned upside down with a probability, as by torchvision's ``RandomVerticalFlip``."""

    probability: float = 0.5
    """of an image to be turned upside down"""

    def __post_init__(self) -> None:
        check_probability(self.probability, "vertical_flip.probability")

    def draw(self, seed: int, step: int, rows: int, image_size: tuple[int, int]) -> NDArray[np.bool_]:
        """Draw for each image whether it is turned upside down: bool ``[rows]``."""
        return uniform(seed, step, rows, 1)[:, 0] < self.probability

    def apply(self, images: jax.Array, drawn: NDArray[np.bool_]) -> jax.Array:
        """Turn the images that were drawn upside down."""
        return jnp.where(jnp.asarray(drawn)[:, None, None, None], images[:, ::-1], images)
