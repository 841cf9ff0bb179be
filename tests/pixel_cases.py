"""Images on which operations on pixels are compared with Pillow's, and how they are."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from jaxnext.augment.operations.packed import pack, unpack


def random_images(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Noise in a third of them, smooth colours that leave room for clipping, and few levels of a narrow range."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, height, width, 3), np.uint8)
    ramp = np.linspace(0, 1, width)[None, None, :, None] * rng.uniform(-255, 255, (count, 1, 1, 3))
    smooth = np.clip(rng.uniform(0, 255, (count, 1, 1, 3)) + ramp, 0, 255).astype(np.uint8)
    narrow = rng.integers(0, 100, (count, 1, 1, 3), np.uint8) + images // rng.integers(
        3, 60, (count, 1, 1, 3), np.uint8
    )
    kind = np.arange(count)[:, None, None, None] % 3
    return np.where(kind == 0, images, np.where(kind == 1, smooth, narrow))


def on_packed(function: Callable[..., jax.Array]) -> Callable[..., np.ndarray]:
    """A function of a packed image, compiled, as one of uint8 images ``[B, H, W, 3]`` and a parameter of each."""
    compiled = jax.jit(jax.vmap(lambda image, *parameters: unpack(function(pack(image), *parameters))))
    return lambda images, *parameters: np.asarray(compiled(jnp.asarray(images), *map(jnp.asarray, parameters)))


def pillow(images: np.ndarray) -> list[Image.Image]:
    """The images as Pillow's."""
    return [Image.fromarray(image) for image in images]


def assert_pixels(
    found: np.ndarray, expected: Sequence[Image.Image | np.ndarray], names: Sequence[object] = ()
) -> None:
    """Compare image by image; ``names`` are shown where one differs."""
    assert len(found) == len(expected)
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_array_equal(one, np.asarray(other), err_msg=f"{names[number] if len(names) else number}")
