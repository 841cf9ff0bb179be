"""Gaussian blur."""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxnext.augment.operations.blur import LARGEST_KERNEL, blur_all, kernels
from jaxnext.augment.operations.draws import check_probability, check_range, uniform
from jaxnext.config.values import require
from jaxnext.errors import JaxnextError


class Drawn(NamedTuple):
    """Which images of a batch are blurred, and how."""

    chosen: NDArray[np.bool_]
    """``[B]``"""
    weights: NDArray[np.int32]
    """``[B, kernel_size]``"""


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """An image is blurred with a probability, as by torchvision's ``RandomApply([GaussianBlur(kernel_size, sigma)])``.

    A pixel is torchvision's, but one level beside it where the exact value is so near a half that torchvision's sum in
    float32, whose order and roundings depend on the processor, falls on the other side: one pixel in ten thousand.
    """

    kernel_size: int = 9
    """pixels on each side of the window, an odd number up to 51"""
    sigma: tuple[float, ...] = (0.1, 2.0)
    """least and largest standard deviation in pixels"""
    probability: float = 0.5
    """of an image to be blurred"""

    def __post_init__(self) -> None:
        ok = self.kernel_size % 2 == 1 and 1 <= self.kernel_size <= LARGEST_KERNEL
        expected = f"an odd number from 1 to {LARGEST_KERNEL}"
        require(ok, "augment.gaussian_blur.kernel_size", expected, self.kernel_size)
        check_range(self.sigma, "gaussian_blur.sigma", 0.0, math.inf)
        check_probability(self.probability, "gaussian_blur.probability")

    def draw(self, seed: int, step: int, rows: int, image_size: tuple[int, int]) -> Drawn:
        """Draw which images are blurred, and the deviation of each, uniformly.

        Raises:
            JaxnextError: half of the window is no smaller than an image, at whose border it is mirrored.
        """
        if self.kernel_size // 2 >= min(image_size):
            raise JaxnextError(
                f"augment.gaussian_blur.kernel_size: expected at most {2 * min(image_size) - 1} for images of "
                f"{list(image_size)} pixels, found {self.kernel_size}"
            )
        numbers = uniform(seed, step, rows, 2)
        lower, upper = self.sigma
        sigmas = lower + numbers[:, 1] * (upper - lower)
        return Drawn(numbers[:, 0] < self.probability, kernels(sigmas.tolist(), self.kernel_size))

    def apply(self, images: jax.Array, drawn: Drawn) -> jax.Array:
        """Blur the images that were drawn."""
        return blur_all(images, jnp.asarray(drawn.chosen), jnp.asarray(drawn.weights))
