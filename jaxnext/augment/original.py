"""The original project's training augmentation: parameters drawn on the host, pixels changed on the device.

For each image one of rotation, colour jitter, horizontal flip and vertical flip is drawn. The pixels are exactly those
that torchvision gives on Pillow images (``RandomRotation`` with its defaults, ``ColorJitter`` without hue, the flips)
with Pillow built for x86-64, whatever the backend. To that end all that a compiler might round differently is done in
integers, or in floating point whose products are exact.
"""

import dataclasses
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from jaxnext.augment.operations.affine import IDENTITY, rotation_coefficients, transform
from jaxnext.augment.operations.color import blend, brightness, contrast, grey, mean, saturation
from jaxnext.augment.operations.draws import check_size, uniform
from jaxnext.augment.operations.packed import channels, join, pack, unpack
from jaxnext.config.values import require

ROTATION, COLOR_JITTER, HORIZONTAL_FLIP, VERTICAL_FLIP, NOTHING = range(5)
"""Values of ``Drawn.choice``."""

_ORDERS = np.array(list(itertools.permutations(range(3))), np.int32)


class Drawn(NamedTuple):
    """Parameters of a batch, drawn on the host. The leading axis is the batch, ``B``."""

    choice: NDArray[np.int32]
    """``[B]``: 0 rotation, 1 colour jitter, 2 horizontal flip, 3 vertical flip, 4 nothing (the flip's coin said no)."""
    affine: NDArray[np.int32]
    """``[B, 6]``: 16.16 fixed-point coefficients of Pillow's rotation; the identity where none is drawn."""
    factors: NDArray[np.float32]
    """``[B, 3]``: brightness, contrast and saturation factors."""
    order: NDArray[np.int32]
    """``[B, 3]``: the order in which the three are applied, a permutation of 0, 1, 2."""


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """For each image one of rotation, colour jitter, horizontal and vertical flip is drawn."""

    rotation: float = 45.0
    """rotation by an angle uniform in plus or minus this many degrees"""
    brightness: float = 0.2
    """colour jitter: brightness factor uniform in 1 plus or minus this"""
    contrast: float = 0.2
    """colour jitter: contrast factor uniform in 1 plus or minus this"""
    saturation: float = 0.2
    """colour jitter: saturation factor uniform in 1 plus or minus this"""
    horizontal_flip: float = 0.2
    """probability of the horizontal flip where it is the one drawn"""
    vertical_flip: float = 0.2
    """probability of the vertical flip where it is the one drawn"""

    def __post_init__(self) -> None:
        key = "augment.original"
        require(0 <= self.rotation <= 180, f"{key}.rotation", "0 to 180 degrees", self.rotation)
        for name in ("brightness", "contrast", "saturation", "horizontal_flip", "vertical_flip"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"{key}.{name}", "a number from 0 to 1", value)

    def draw(self, seed: int, step: int, rows: int, image_size: tuple[int, int]) -> Drawn:
        """Draw the augmentation of each image of a batch; see the function ``draw``."""
        return draw(seed, step, rows, image_size, **dataclasses.asdict(self))

    def apply(self, images: jax.Array, drawn: Drawn) -> jax.Array:
        """Augment each image as its row says; see the function ``augment``."""
        return augment(images, drawn)


def draw(
    seed: int,
    step: int,
    batch_size: int,
    image_size: tuple[int, int],
    rotation: float,
    brightness: float,
    contrast: float,
    saturation: float,
    horizontal_flip: float,
    vertical_flip: float,
) -> Drawn:
    """Draw the augmentation of each image of a batch, on the host.

    A pure function of the seed, the step and the place in the batch: row ``i`` does not depend on ``batch_size``. Draw
    for the whole global batch and give every device its rows; then the number of devices changes nothing.

    Args:
        seed: 0 to 2**64 - 1.
        step: Number of the training step, 0 to 2**64 - 1.
        batch_size: Number of rows, ``B``.
        image_size: Height and width of the images in pixels, at most as many as 4096x4096.
        rotation: The angle is uniform in plus or minus this many degrees.
        brightness: The factor is uniform in 1 plus or minus this, at most 1; likewise ``contrast`` and ``saturation``.
        contrast: See ``brightness``.
        saturation: See ``brightness``.
        horizontal_flip: Probability of the horizontal flip where it is the one drawn.
        vertical_flip: Probability of the vertical flip where it is the one drawn.

    Returns:
        NumPy arrays of ``batch_size`` rows. Without rotation ``affine`` is the identity, without colour jitter
        ``factors`` are 1.

    Raises:
        JaxnextError: ``image_size`` is above that.
    """
    check_size(image_size)
    drawn = uniform(seed, step, batch_size, 8)
    choice = (drawn[:, 0] * 4).astype(np.int32)
    probability = np.array([1.0, 1.0, horizontal_flip, vertical_flip])[choice]
    choice = np.where(drawn[:, 1] < probability, choice, np.int32(NOTHING))

    affine = np.tile(np.array(IDENTITY, np.int32), (batch_size, 1))
    for row in np.flatnonzero(choice == ROTATION):
        # One by one: NumPy's cosine and decimal rounding may differ in the last place from Python's, which Pillow uses.
        affine[row] = rotation_coefficients(rotation * (2.0 * float(drawn[row, 2]) - 1.0), image_size)

    spread = np.array([brightness, contrast, saturation])
    factors = (1.0 + spread * (2.0 * drawn[:, 3:6] - 1.0)).astype(np.float32)
    factors = np.where(choice[:, None] == COLOR_JITTER, factors, np.float32(1.0))
    return Drawn(choice, affine, factors, _ORDERS[(drawn[:, 6] * 6).astype(np.int32)])


def augment(images: jax.Array, parameters: Drawn) -> jax.Array:
    """Augment each image as its row of the parameters says.

    Pure and local to each image, so it may run inside ``jit`` and ``shard_map`` on any slice of a batch. On the CPU
    image after image, doing only what was drawn; elsewhere all images at once, without branches. The pixels are the
    same.

    Args:
        images: uint8 ``[B, H, W, 3]``, RGB.
        parameters: ``B`` rows, drawn for images of this size by ``draw``.

    Returns:
        uint8 ``[B, H, W, 3]``; what a rotation uncovers is black.
    """
    return lax.platform_dependent(images, parameters, cpu=augment_sequentially, default=augment_vectorized)


def augment_sequentially(images: jax.Array, parameters: Drawn) -> jax.Array:
    """Augment image after image: each runs the one branch that was drawn for it."""

    def one(example: tuple[jax.Array, Drawn]) -> jax.Array:
        image, row = example
        affine, factors, order = jnp.asarray(row.affine), jnp.asarray(row.factors), jnp.asarray(row.order)
        branches = (
            lambda image: unpack(transform(pack(image), affine)),
            lambda image: unpack(_jitter(pack(image), factors, order)),
            lambda image: image[:, ::-1],
            lambda image: image[::-1],
            lambda image: image,
        )
        return lax.switch(row.choice, branches, image)

    return lax.map(one, (images, parameters))


def augment_vectorized(images: jax.Array, parameters: Drawn) -> jax.Array:
    """Augment all images at once: one gather and three blends, which leave alone what was not drawn."""
    bottom, right = ((size << 16) - 32768 for size in images.shape[1:3])
    mirrored, upended = (-65536, 0, right, 0, 65536, 32768), (65536, 0, 32768, 0, -65536, bottom)
    fixed_maps = jnp.asarray([IDENTITY, IDENTITY, mirrored, upended, IDENTITY], jnp.int32)
    choice = jnp.asarray(parameters.choice)
    affine = jnp.where(choice[:, None] == ROTATION, parameters.affine, fixed_maps[choice])
    factors = jnp.where(choice[:, None] == COLOR_JITTER, parameters.factors, jnp.float32(1.0))

    packed = jax.vmap(transform)(pack(images), affine)
    order = jnp.asarray(parameters.order)
    for place in range(3):
        operation = order[:, place, None, None]
        factor = jnp.take_along_axis(factors, order[:, place : place + 1], axis=1)[:, :, None]
        red, green, blue = channels(packed)
        luma = grey(red, green, blue)
        target = jnp.where(operation == 0, 0, jnp.where(operation == 1, mean(luma), luma))
        packed = join(*(blend(target, channel, factor) for channel in (red, green, blue)))
    return unpack(packed)


def _jitter(packed: jax.Array, factors: jax.Array, order: jax.Array) -> jax.Array:
    """Change brightness, contrast and saturation of an image ``[H, W]`` in this order, rounded to bytes in between."""

    def apply(place: jax.Array, packed: jax.Array) -> jax.Array:
        operation = order[place]
        return lax.switch(operation, (brightness, contrast, saturation), packed, factors[operation])

    return lax.fori_loop(0, 3, apply, packed)
