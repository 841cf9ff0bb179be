"""One of the operations of RandAugment, TrivialAugment and AutoAugment: parameters on the host, pixels on the device.

The pixels are those of torchvision's functions on Pillow images.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from jaxnext.augment.operations import affine as maps
from jaxnext.augment.operations import bilinear
from jaxnext.augment.operations.color import blend, brightness, contrast, grey, mean, saturation, sharpness, smooth
from jaxnext.augment.operations.packed import channels, join, pack, unpack
from jaxnext.augment.operations.tables import autocontrast, equalize, invert_and_mask

NOTHING, AFFINE, BRIGHTNESS, CONTRAST, SATURATION, SHARPNESS, LEVELS, AUTOCONTRAST, EQUALIZE = range(9)
"""Values of ``Operations.kind``."""

NAMES = (
    "Identity",
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
    "Rotate",
    "Brightness",
    "Color",
    "Contrast",
    "Sharpness",
    "Posterize",
    "Solarize",
    "AutoContrast",
    "Equalize",
)
"""Operations of RandAugment and TrivialAugment, as torchvision names them and in its order. ``operation`` also knows
``Invert``."""

UNSIGNED = ("Identity", "Posterize", "Solarize", "AutoContrast", "Equalize", "Invert")
"""Those whose magnitude is never negated."""


class Operation(NamedTuple):
    """One operation with its parameters."""

    kind: int
    matrix: maps.Matrix = maps.NO_CHANGE
    """from output to input places"""
    factor: float = 1.0
    """of a blend with black, the mean, grey or the smoothed image"""
    threshold: int = 256
    """first level that is inverted"""
    mask: int = 255
    """bits that are kept"""


class Operations(NamedTuple):
    """Operations of a batch, ``N`` one after another for each image."""

    kind: NDArray[np.int32]
    """``[B, N]``"""
    affine: NDArray[np.int32]
    """``[B, N, 6]``, as ``affine.fixed``; where pixels are interpolated ``[B, N, 7, 2]``, as ``bilinear.bits``"""
    factor: NDArray[np.float32]
    """``[B, N]``"""
    threshold: NDArray[np.int32]
    """``[B, N]``"""
    mask: NDArray[np.int32]
    """``[B, N]``"""


def operation(name: str, magnitude: float, image_size: tuple[int, int]) -> Operation:
    """Return what an operation does at a magnitude, as torchvision's automatic augmentations have it.

    Args:
        name: One of ``NAMES``, or ``Invert``.
        magnitude: With its sign: a shear, pixels, degrees, a factor less 1, bits, or a share of 255. Not read where the
            operation has none.
        image_size: Height and width in pixels.
    """
    if name in ("ShearX", "ShearY"):
        along_x, along_y = (magnitude, 0.0) if name == "ShearX" else (0.0, magnitude)
        return Operation(AFFINE, maps.shear(along_x, along_y))
    if name in ("TranslateX", "TranslateY"):
        right, down = (int(magnitude), 0) if name == "TranslateX" else (0, int(magnitude))
        return Operation(AFFINE, maps.translation(right, down))
    if name == "Rotate":
        return Operation(AFFINE, maps.rotation(magnitude, image_size))
    if name == "Posterize":
        return Operation(LEVELS, mask=256 - 2 ** (8 - int(magnitude)))
    if name == "Solarize":
        return Operation(LEVELS, threshold=int(np.ceil(255.0 * magnitude)))
    if name == "Invert":
        return Operation(LEVELS, threshold=0)
    blends = {"Brightness": BRIGHTNESS, "Color": SATURATION, "Contrast": CONTRAST, "Sharpness": SHARPNESS}
    if name in blends:
        return Operation(blends[name], factor=1.0 + magnitude)
    return Operation({"Identity": NOTHING, "AutoContrast": AUTOCONTRAST, "Equalize": EQUALIZE}[name])


def batch(rows: Sequence[Sequence[Operation]], interpolated: bool = False) -> Operations:
    """Return the operations of each image as arrays; every image has as many.

    Args:
        rows: Of each image.
        interpolated: Whether what moves pixels interpolates between four, instead of taking the nearest.
    """
    flat = [operation for row in rows for operation in row]
    shape = (len(rows), len(rows[0]) if rows else 0)
    kind, matrix, factor, threshold, mask = zip(*flat, strict=True) if flat else ((), (), (), (), ())
    encode, ending = (bilinear.bits, (bilinear.WORDS, 2)) if interpolated else (maps.fixed, (6,))
    return Operations(
        np.array(kind, np.int32).reshape(shape),
        np.array([encode(each) for each in matrix], np.int32).reshape(*shape, *ending),
        np.array(factor, np.float32).reshape(shape),
        np.array(threshold, np.int32).reshape(shape),
        np.array(mask, np.int32).reshape(shape),
    )


def apply(images: jax.Array, operations: Operations, fill: int = 0) -> jax.Array:
    """Apply to each image its row of operations, in order.

    Pure and local to each image. On the CPU image after image, doing only what was drawn; elsewhere all images at once,
    without branches. The pixels are the same.

    Args:
        images: uint8 ``[B, H, W, 3]``, RGB.
        operations: ``B`` rows, made for images of this size.
        fill: Packed pixel that stands where an operation has moved nothing to.

    Returns:
        uint8 ``[B, H, W, 3]``.
    """
    one_by_one, at_once = (functools.partial(each, fill=fill) for each in (apply_sequentially, apply_vectorized))
    return lax.platform_dependent(images, operations, cpu=one_by_one, default=at_once)


def apply_sequentially(images: jax.Array, operations: Operations, fill: int = 0) -> jax.Array:
    """Apply operations image after image: each runs the branches that were drawn for it."""
    move = _mover(operations, fill)

    def one(example: tuple[jax.Array, Operations]) -> jax.Array:
        image, row = example
        if not row.kind.shape[0]:
            return image
        packed = lax.fori_loop(0, row.kind.shape[0], lambda place, packed: step(packed, row, place), pack(image))
        return unpack(packed)

    def step(packed: jax.Array, row: Operations, place: jax.Array) -> jax.Array:
        kind, affine, factor, threshold, mask = (jnp.asarray(values)[place] for values in row)
        branches = (
            lambda packed: packed,
            lambda packed: move(packed, affine),
            lambda packed: brightness(packed, factor),
            lambda packed: contrast(packed, factor),
            lambda packed: saturation(packed, factor),
            lambda packed: sharpness(packed, factor),
            lambda packed: invert_and_mask(packed, threshold, mask),
            autocontrast,
            equalize,
        )
        return lax.switch(kind, branches, packed)

    return lax.map(one, (images, operations))


def apply_vectorized(images: jax.Array, operations: Operations, fill: int = 0) -> jax.Array:
    """Apply operations to all images at once: each does everything, and changes only what was drawn."""
    packed, everything = pack(images), jax.vmap(functools.partial(_everything, _mover(operations, fill)))
    for place in range(operations.kind.shape[1]):
        packed = everything(packed, *(jnp.asarray(values)[:, place] for values in operations))
    return unpack(packed)


def _mover(operations: Operations, fill: int) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Return what moves the pixels of ``[H, W]`` by a row's ``affine``."""
    transform = bilinear.transform if operations.affine.ndim == 4 else maps.transform
    return functools.partial(transform, fill=fill)


def _everything(
    move: Callable[[jax.Array, jax.Array], jax.Array],
    packed: jax.Array,
    kind: jax.Array,
    affine: jax.Array,
    factor: jax.Array,
    threshold: jax.Array,
    mask: jax.Array,
) -> jax.Array:
    """Apply one operation to ``[H, W]`` without a branch; what was not drawn has parameters that change nothing."""
    packed = move(packed, affine)
    separate = channels(packed)
    luma = grey(*separate)
    middle = mean(luma)
    blended = [blend(lax.select_n(kind, *_targets(channel, luma, middle)), channel, factor) for channel in separate]
    packed = invert_and_mask(join(*blended), threshold, mask)
    packed = jnp.where(kind == AUTOCONTRAST, autocontrast(packed), packed)
    return jnp.where(kind == EQUALIZE, equalize(packed), packed)


def _targets(channel: jax.Array, luma: jax.Array, middle: jax.Array) -> list[jax.Array]:
    """Return with what each kind blends a channel; where the factor is 1 with whatever."""
    targets = [channel] * 9
    targets[BRIGHTNESS] = jnp.zeros_like(channel)
    targets[CONTRAST] = jnp.broadcast_to(middle, channel.shape)
    targets[SATURATION] = luma
    targets[SHARPNESS] = smooth(channel)
    return targets
