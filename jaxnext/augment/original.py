"""The original project's training augmentation: parameters drawn on the host, pixels changed on the device.

For each image one of rotation, colour jitter, horizontal flip and vertical flip is drawn. The pixels are exactly those
that torchvision gives on Pillow images (``RandomRotation`` with its defaults, ``ColorJitter`` without hue, the flips)
with Pillow built for x86-64, whatever the backend. To that end all that a compiler might round differently is done in
integers, or in floating point whose products are exact.
"""

import dataclasses
import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from jaxnext.config.values import require
from jaxnext.errors import JaxnextError

ROTATION, COLOR_JITTER, HORIZONTAL_FLIP, VERTICAL_FLIP, NOTHING = range(5)
"""Values of ``Drawn.choice``."""

# Up to here the sum of an image's grey values fits 32 bits, and its places those of Pillow's fixed-point rotation.
_LARGEST_SIZE, _LONGEST_SIDE = 4096, 16384
_ORDERS = np.array(list(itertools.permutations(range(3))), np.int32)
_IDENTITY = (65536, 0, 32768, 0, 65536, 32768)


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


def rotation_coefficients(angle: float, image_size: tuple[int, int]) -> tuple[int, int, int, int, int, int]:
    """Return the fixed-point map from output to input pixels of Pillow's ``Image.rotate(angle)``.

    Output pixel (x, y) shows the input pixel ``((a*x + b*y + c) >> 16, (d*x + e*y + f) >> 16)``. Both roundings are
    Pillow's: sine and cosine to 15 decimals, the coefficients to the nearest 1/65536. At 0 and 180 degrees, of
    a square also at 90 and 270, the map is the exact copy or transposition that Pillow makes there.

    Args:
        angle: Degrees, counter-clockwise.
        image_size: Height and width in pixels.

    Returns:
        ``(a, b, c, d, e, f)``, 16.16 fixed point; ``c`` and ``f`` include the half pixel from corner to centre.
    """
    radians = -math.radians(angle % 360.0)
    cos, sin, minus_sin = (round(value, 15) for value in (math.cos(radians), math.sin(radians), -math.sin(radians)))
    center_y, center_x = image_size[0] / 2, image_size[1] / 2
    x_offset = cos * -center_x + sin * -center_y + center_x
    y_offset = minus_sin * -center_x + cos * -center_y + center_y

    def fixed(value: float) -> int:
        return math.floor(value * 65536.0 + 0.5)

    return (
        fixed(cos),
        fixed(sin),
        fixed(x_offset + cos * 0.5 + sin * 0.5),
        fixed(minus_sin),
        fixed(cos),
        fixed(y_offset + minus_sin * 0.5 + cos * 0.5),
    )


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
    if image_size[0] * image_size[1] > _LARGEST_SIZE**2 or max(image_size) > _LONGEST_SIDE:
        raise JaxnextError(
            f"data.image_size: expected at most {_LARGEST_SIZE} pixels for the augmentation, or as many in another "
            f"shape of sides up to {_LONGEST_SIDE}, found {list(image_size)}"
        )
    # The generator's raw stream is the part of NumPy's random numbers that is promised never to change.
    bits = np.random.Philox(key=np.array([seed, step], np.uint64)).random_raw((batch_size, 8))
    uniform = (bits >> np.uint64(11)) * 2.0**-53
    choice = (uniform[:, 0] * 4).astype(np.int32)
    probability = np.array([1.0, 1.0, horizontal_flip, vertical_flip])[choice]
    choice = np.where(uniform[:, 1] < probability, choice, np.int32(NOTHING))

    affine = np.tile(np.array(_IDENTITY, np.int32), (batch_size, 1))
    for row in np.flatnonzero(choice == ROTATION):
        # One by one: NumPy's cosine and decimal rounding may differ in the last place from Python's, which Pillow uses.
        affine[row] = rotation_coefficients(rotation * (2.0 * float(uniform[row, 2]) - 1.0), image_size)

    spread = np.array([brightness, contrast, saturation])
    factors = (1.0 + spread * (2.0 * uniform[:, 3:6] - 1.0)).astype(np.float32)
    factors = np.where(choice[:, None] == COLOR_JITTER, factors, np.float32(1.0))
    return Drawn(choice, affine, factors, _ORDERS[(uniform[:, 6] * 6).astype(np.int32)])


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
            lambda image: _unpack(_rotate(_pack(image), affine)),
            lambda image: _unpack(_jitter(_pack(image), factors, order)),
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
    fixed_maps = jnp.asarray([_IDENTITY, _IDENTITY, mirrored, upended, _IDENTITY], jnp.int32)
    choice = jnp.asarray(parameters.choice)
    affine = jnp.where(choice[:, None] == ROTATION, parameters.affine, fixed_maps[choice])
    factors = jnp.where(choice[:, None] == COLOR_JITTER, parameters.factors, jnp.float32(1.0))

    packed = jax.vmap(_rotate)(_pack(images), affine)
    order = jnp.asarray(parameters.order)
    for place in range(3):
        operation = order[:, place, None, None]
        factor = jnp.take_along_axis(factors, order[:, place : place + 1], axis=1)[:, :, None]
        red, green, blue = _channels(packed)
        grey = _grey(red, green, blue)
        target = jnp.where(operation == 0, 0, jnp.where(operation == 1, _mean(grey), grey))
        packed = _join(*(_blend(target, channel, factor) for channel in (red, green, blue)))
    return _unpack(packed)


def _pack(image: jax.Array) -> jax.Array:
    """Pack ``[..., H, W, 3]`` to uint32 ``[..., H, W]``, red lowest. A gather then moves a pixel at a time."""
    wide = image.astype(jnp.uint32)
    return wide[..., 0] | (wide[..., 1] << 8) | (wide[..., 2] << 16)


def _unpack(packed: jax.Array) -> jax.Array:
    shifts = jnp.asarray([0, 8, 16], jnp.uint32).reshape((1,) * packed.ndim + (3,))
    return ((packed[..., None] >> shifts) & 255).astype(jnp.uint8)


def _channels(packed: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    signed = packed.astype(jnp.int32)
    return signed & 255, (signed >> 8) & 255, signed >> 16


def _join(red: jax.Array, green: jax.Array, blue: jax.Array) -> jax.Array:
    return (red | (green << 8) | (blue << 16)).astype(jnp.uint32)


def _rotate(packed: jax.Array, affine: jax.Array) -> jax.Array:
    """Gather the nearest of ``[H, W]`` pixels by 16.16 fixed-point coefficients ``[6]``; black outside."""
    height, width = packed.shape
    y, x = (lax.broadcasted_iota(jnp.int32, (height, width), axis) for axis in (0, 1))
    source_x = (affine[0] * x + affine[1] * y + affine[2]) >> 16
    source_y = (affine[3] * x + affine[4] * y + affine[5]) >> 16
    inside = (source_x >= 0) & (source_x < width) & (source_y >= 0) & (source_y < height)
    index = jnp.where(inside, source_y * width + source_x, 0)
    pixels = packed.reshape(-1).at[index].get(mode="promise_in_bounds")
    return jnp.where(inside, pixels, jnp.uint32(0))


def _jitter(packed: jax.Array, factors: jax.Array, order: jax.Array) -> jax.Array:
    """Change brightness, contrast and saturation of an image ``[H, W]`` in this order, rounded to bytes in between."""

    def brightness(packed: jax.Array, factor: jax.Array) -> jax.Array:
        return _join(*(_blend(jnp.zeros_like(channel), channel, factor) for channel in _channels(packed)))

    def contrast(packed: jax.Array, factor: jax.Array) -> jax.Array:
        channels = _channels(packed)
        mean = _mean(_grey(*channels))
        return _join(*(_blend(mean, channel, factor) for channel in channels))

    def saturation(packed: jax.Array, factor: jax.Array) -> jax.Array:
        channels = _channels(packed)
        grey = _grey(*channels)
        return _join(*(_blend(grey, channel, factor) for channel in channels))

    def apply(place: jax.Array, packed: jax.Array) -> jax.Array:
        operation = order[place]
        return lax.switch(operation, (brightness, contrast, saturation), packed, factors[operation])

    return lax.fori_loop(0, 3, apply, packed)


def _grey(red: jax.Array, green: jax.Array, blue: jax.Array) -> jax.Array:
    """Convert to Pillow's mode L: ITU-R 601-2 luma in 16-bit fixed point, rounded to nearest."""
    return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16


def _mean(grey: jax.Array) -> jax.Array:
    """Return the mean of each image ``[..., H, W]``, halves rounded up as by ImageEnhance.Contrast: ``[..., 1, 1]``."""
    count = np.uint32(grey.shape[-2] * grey.shape[-1])
    total = jnp.sum(grey.astype(jnp.uint32), axis=(-2, -1), keepdims=True, dtype=jnp.uint32)
    quotient = total // count
    round_up = 2 * (total - quotient * count) >= count
    return (quotient + round_up.astype(jnp.uint32)).astype(jnp.int32)


def _blend(start: jax.Array, end: jax.Array, factor: jax.Array) -> jax.Array:
    """Blend as Pillow does: ``start + factor * (end - start)`` in float32, cut to 0 to 255, fraction dropped.

    Pillow rounds the product before it adds. A compiler may fuse the two into one multiply-add that does not, which
    changes a byte here and there. So the factor is split into two halves of 12 bits: their products with a difference
    of bytes are exact, hence the sum of the products is the rounded product, whether fused or not.
    """
    bits = lax.bitcast_convert_type(jnp.asarray(factor, jnp.float32), jnp.uint32)
    high = lax.bitcast_convert_type(bits & np.uint32(0xFFFFF000), jnp.float32)
    low = factor - high
    difference = (end - start).astype(jnp.float32)
    blended = (high * difference + low * difference) + start.astype(jnp.float32)
    return jnp.clip(blended, 0.0, 255.0).astype(jnp.int32)
