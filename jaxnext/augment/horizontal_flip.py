"""Horizontal flip."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxnext.augment.operations.draws import check_probability, uniform


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """An image is mirrored, left to right, with a probability, as by torchvision's ``RandomHorizontalFlip``."""

    probability: float = 0.5
    """of an image to be mirrored"""

    def __post_init__(self) -> None:
        check_probability(self.probability, "horizontal_flip.probability")

    def draw(self, seed: int, step: int, rows: int, image_size: tuple[int, int]) -> NDArray[np.bool_]:
        """Draw for each image whether it is mirrored: bool ``[rows]``."""
        return uniform(seed, step, rows, 1)[:, 0] < self.probability

    def apply(self, images: jax.Array, drawn: NDArray[np.bool_]) -> jax.Array:
        """Mirror the images that were drawn."""
        return jnp.where(jnp.asarray(drawn)[:, None, None, None], images[:, :, ::-1], images)
