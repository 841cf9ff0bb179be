"""Mixup and cutmix over the global batch: each image with the one before it, the first with the last.

Zhang, Cisse, Dauphin, Lopez-Paz: mixup, https://arxiv.org/abs/1710.09412; Yun et al.: CutMix,
https://arxiv.org/abs/1905.04899. Given what is drawn for a batch, pixels and labels are those of torchvision's
``transforms.v2.MixUp`` and ``CutMix`` on the images that count. What is drawn is a function of seed and step, and the
partner one of the place in the global batch: the number of devices and processes changes nothing.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from numpy.typing import NDArray

from jaxnext.ops.collectives import psum


class Drawn(NamedTuple):
    """What is drawn for a batch, once for each device, so that it is split as the batch is; ``D`` devices."""

    pixels: NDArray[Any]
    """``[D, 2]``: the shares of an image and of its partner in its pixels"""
    labels: NDArray[Any]
    """``[D, 2]``: the same in its label"""
    box: NDArray[np.int32]
    """``[D, 4]``: top, bottom, left and right of the box in which all pixels are the partner's"""


class MixedLabels(NamedTuple):
    """The labels of mixed images."""

    own: jax.Array
    """``[N]`` int32"""
    partner: jax.Array
    """``[N]`` int32"""
    shares: jax.Array
    """``[2]``: of the two"""

    def probabilities(self, logits: jax.Array) -> jax.Array:
        """Return the targets of a loss, of the logits' shape and dtype."""
        own, partner = (jax.nn.one_hot(each, logits.shape[-1], dtype=logits.dtype) for each in (self.own, self.partner))
        shares = self.shares.astype(logits.dtype)
        return own * shares[0] + partner * shares[1]

    def larger(self) -> jax.Array:
        """Return the label with the larger share, of equal ones the image's own, ``[N]`` int32."""
        return jnp.where(self.shares[0] >= self.shares[1], self.own, self.partner)


@dataclasses.dataclass(frozen=True)
class Mix:
    """What is drawn for each batch: nothing, mixup or cutmix."""

    mixup: float
    """both parameters of the beta distribution that an image's share is drawn from; 0: no mixup"""
    cutmix: float
    """the same of the share that is not cut; 0: no cutmix"""
    probability: float
    """that a batch is mixed"""
    switch: float
    """that a mixed batch is cut, where both are asked for"""
    steps: int
    """training steps from the beginning of the run that may be mixed; those after them are not"""

    def draw(
        self, seed: int, step: int, image_size: tuple[int, int], devices: int, dtype: DTypeLike = np.float32
    ) -> Drawn:
        """Draw for a batch, on the host.

        Args:
            seed: 0 to 2**32 - 1.
            step: number of the training step.
            image_size: height and width in pixels.
            devices: for so many, the same for each.
            dtype: of the shares.
        """
        pixels, labels, box = (1.0, 0.0), (1.0, 0.0), (0, 0, 0, 0)
        uniform = _uniform(seed, step)
        if step < self.steps and uniform() < self.probability:
            cut = uniform() < self.switch if self.mixup and self.cutmix else self.cutmix > 0
            share = symmetric_beta(self.cutmix if cut else self.mixup, uniform)
            if cut:
                box = _box(share, image_size, uniform)
                top, bottom, left, right = box
                share = 1 - (right - left) * (bottom - top) / (image_size[0] * image_size[1])
                labels = (share, 1 - share)
            else:
                pixels = labels = (share, 1 - share)

        def copies(values: tuple[float, ...], dtype: DTypeLike) -> NDArray[Any]:
            return np.tile(np.array(values, dtype), (devices, 1))

        return Drawn(copies(pixels, dtype), copies(labels, dtype), copies(box, np.int32))


def _uniform(seed: int, step: int) -> Callable[[], float]:
    """Return what draws numbers from 0 to below 1."""
    # The generator's raw stream is the part of NumPy's random numbers that is promised never to change. Augmentations
    # have the keys below.
    bits = np.random.Philox(key=np.array([seed + (1 << 63), step], np.uint64))
    return lambda: (int(bits.random_raw()) >> 11) * 2.0**-53


def symmetric_beta(alpha: float, uniform: Callable[[], float]) -> float:
    """Draw from Beta(alpha, alpha), alpha above 0.

    By Ulrich's method above 1/2, by Jöhnk's up to it (Devroye, Non-Uniform Random Variate Generation, 1986, chapters
    IX.4.3 and IX.3.5), of logarithms, for the powers of a small alpha are too small for a float.
    """
    if alpha > 0.5:
        radius = math.sqrt(1 - (1 - uniform()) ** (2 / (2 * alpha - 1)))
        return (1 + radius * math.cos(2 * math.pi * uniform())) / 2
    while True:
        one, other = (math.log(1 - uniform()) / alpha for _ in range(2))
        larger = max(one, other)
        total = larger + math.log(math.exp(one - larger) + math.exp(other - larger))
        if total <= 0:
            return math.exp(one - total)


def _box(share: float, image_size: tuple[int, int], uniform: Callable[[], float]) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of a box around a random pixel, cut off at the edges as torchvision does."""
    height, width = image_size
    x, y = int(uniform() * width), int(uniform() * height)
    half = 0.5 * math.sqrt(1 - share)
    tall, wide = int(half * height), int(half * width)
    return max(y - tall, 0), min(y + tall, height), max(x - wide, 0), min(x + wide, width)


def mix(
    images: jax.Array, labels: jax.Array, mask: jax.Array, drawn: Drawn, axis_name: str
) -> tuple[jax.Array, MixedLabels]:
    """Mix each image that counts with the one before it that counts, cyclically. Runs under the mesh axis.

    Of each device's share no more than one row, its last that counts, goes to another.

    Args:
        images: this device's share, ``[N, H, W, C]``, floating point.
        labels: ``[N]`` int32.
        mask: ``[N]`` of bool; rows that are ``False`` are mixed into none.
        drawn: this device's, ``D`` being 1.
        axis_name: of the mesh axis.

    Returns:
        images of the same dtype, computed at least in float32, and their labels.
    """
    place = lax.cummax(jnp.where(mask, jnp.arange(len(mask)), -1))
    before, last = jnp.concatenate([jnp.full(1, -1), place[:-1]]), place[-1]
    image, label = row_before((images[jnp.maximum(last, 0)], labels[jnp.maximum(last, 0)]), last >= 0, axis_name)
    inside = jnp.maximum(before, 0)
    others = jnp.where((before < 0)[:, None, None, None], image[None], images[inside])
    partner = jnp.where(before < 0, label, labels[inside])

    wide = jnp.promote_types(images.dtype, jnp.float32)
    shares, (top, bottom, left, right) = drawn.pixels[0].astype(wide), drawn.box[0]
    blended = images.astype(wide) * shares[0] + others.astype(wide) * shares[1]
    y, x = (lax.broadcasted_iota(jnp.int32, images.shape[1:3], axis) for axis in (0, 1))
    box = (top <= y) & (y < bottom) & (left <= x) & (x < right)
    mixed = jnp.where(box[None, :, :, None], others, blended.astype(images.dtype))
    return mixed, MixedLabels(labels, partner, jnp.asarray(drawn.labels[0]))


def row_before(row: Any, has: jax.Array, axis_name: str) -> Any:
    """Return the row of the nearest device before this one that has one, cyclically; the last one before is itself.

    Each device hands on what it has, or what it was handed: one hop where every device has a row, another for each
    device in between that has none.

    Args:
        row: a tree of arrays.
        has: scalar of bool; where it is ``False``, ``row`` is passed over.
        axis_name: of the mesh axis.

    Returns:
        a tree as ``row``; of any content where no device has one.
    """
    size = lax.axis_size(axis_name)
    if size == 1:
        return row
    flags = psum((jnp.arange(size) == lax.axis_index(axis_name)) & has, axis_name) > 0
    # For each device those before it, the nearest first, and itself.
    devices = np.arange(size)
    nearest = flags[(devices[:, None] - devices[None, :] - 1) % size].argmax(-1)
    to_the_next = [(device, (device + 1) % size) for device in range(size)]

    def hop(_: Any, handed: Any) -> Any:
        passed = jax.tree.map(lambda own, other: jnp.where(has, own, other), row, handed)
        return jax.tree.map(lambda leaf: lax.ppermute(leaf, axis_name, to_the_next), passed)

    return lax.fori_loop(0, nearest.max() + 1, hop, row)
