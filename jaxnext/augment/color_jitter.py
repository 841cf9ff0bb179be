"""Brightness, contrast, saturation and hue, in a random order."""

import dataclasses
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from jaxnext.augment.operations.color import blend, brightness, contrast, grey, mean, saturation
from jaxnext.augment.operations.draws import check_probability, check_size, uniform
from jaxnext.augment.operations.hue import shift_hue
from jaxnext.augment.operations.packed import channels, join, pack, unpack
from jaxnext.config.values import require

BRIGHTNESS, CONTRAST, SATURATION, HUE, NOTHING = range(5)
"""Values of ``Drawn.order``."""

_ORDERS = np.array(list(itertools.permutations(range(4))), np.int32)


class Drawn(NamedTuple):
    """What happens to each image of a batch."""

    order: NDArray[np.int32]
    """``[B, 4]``: which is applied first, second, third and last"""
    factors: NDArray[np.float32]
    """``[B, 3]``: brightness, contrast and saturation factors"""
    shift: NDArray[np.int32]
    """``[B]``: added to the byte of the hue, 0 to 255"""


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Brightness, contrast, saturation and hue of an image change, in a random order.

    Ranges and pixels are those of torchvision's ``ColorJitter`` on Pillow images.
    """

    brightness: float = 0.4
    """factor uniform in 1 plus or minus this, but not below 0"""
    contrast: float = 0.4
    """the same for contrast"""
    saturation: float = 0.4
    """the same for saturation"""
    hue: float = 0.1
    """the hue turns by up to plus or minus this share of a full turn, at most 0.5"""
    probability: float = 1.0
    """of an image to be changed at all"""

    def __post_init__(self) -> None:
        key = "augment.color_jitter"
        for name in ("brightness", "contrast", "saturation"):
            value = getattr(self, name)
            require(value >= 0, f"{key}.{name}", "a number of at least 0", value)
        require(0 <= self.hue <= 0.5, f"{key}.hue", "a number from 0 to 0.5", self.hue)
        check_probability(self.probability, "color_jitter.probability")

    def draw(self, seed: int, step: int, rows: int, image_size: tuple[int, int]) -> Drawn:
        """Draw order, factors and turn of each image. What is not to change is not in the order."""
        check_size(image_size)
        numbers = uniform(seed, step, rows, 6)
        spread = np.array([self.brightness, self.contrast, self.saturation])
        lower = np.maximum(1.0 - spread, 0.0)
        factors = (lower + numbers[:, 1:4] * (1.0 + spread - lower)).astype(np.float32)
        # To a whole number as torchvision does: the fraction dropped, which is towards 0.
        shift = (self.hue * (2.0 * numbers[:, 4] - 1.0) * 255).astype(np.int32) & 255
        order = _ORDERS[(numbers[:, 0] * len(_ORDERS)).astype(np.int32)]
        used = np.array([*(spread > 0), self.hue > 0])[order] & (numbers[:, 5:] < self.probability)
        return Drawn(np.where(used, order, np.int32(NOTHING)), factors, shift)

    def apply(self, images: jax.Array, drawn: Drawn) -> jax.Array:
        """Change each image; on the CPU one after another, elsewhere all at once, to the same pixels."""
        return lax.platform_dependent(images, drawn, cpu=jitter_sequentially, default=jitter_vectorized)


def jitter_sequentially(images: jax.Array, drawn: Drawn) -> jax.Array:
    """Jitter image after image, doing only what was drawn."""

    def one(example: tuple[jax.Array, Drawn]) -> jax.Array:
        image, (order, factors, shift) = example[0], (jnp.asarray(values) for values in example[1])

        def step(place: jax.Array, packed: jax.Array) -> jax.Array:
            branches = (
                lambda packed: brightness(packed, factors[BRIGHTNESS]),
                lambda packed: contrast(packed, factors[CONTRAST]),
                lambda packed: saturation(packed, factors[SATURATION]),
                lambda packed: shift_hue(packed, shift),
                lambda packed: packed,
            )
            return lax.switch(order[place], branches, packed)

        return unpack(lax.fori_loop(0, 4, step, pack(image)))

    return lax.map(one, (images, drawn))


def jitter_vectorized(images: jax.Array, drawn: Drawn) -> jax.Array:
    """Jitter all images at once, without branches."""
    packed = pack(images)
    order, factors, shift = (jnp.asarray(values) for values in drawn)
    # Hue and nothing blend with a factor of 1, which changes nothing.
    factors = jnp.concatenate([factors, jnp.ones_like(factors[:, :2])], axis=1)
    for place in range(4):
        operation = order[:, place, None, None]
        factor = jnp.take_along_axis(factors, order[:, place : place + 1], axis=1)[:, :, None]
        red, green, blue = channels(packed)
        luma = grey(red, green, blue)
        target = jnp.where(operation == BRIGHTNESS, 0, jnp.where(operation == CONTRAST, mean(luma), luma))
        turned = shift_hue(packed, shift[:, None, None])
        packed = join(*(blend(target, channel, factor) for channel in (red, green, blue)))
        packed = jnp.where(operation == HUE, turned, packed)
    return unpack(packed)
