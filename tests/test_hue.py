import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from pixel_cases import assert_pixels, on_packed, pillow, random_images

from jaxnext.augment.operations import hue
from jaxnext.augment.operations.packed import pack, unpack


def shifted(image: Image.Image, shift: int) -> Image.Image:
    turned, saturation, value = image.convert("HSV").split()
    turned = Image.fromarray(np.asarray(turned) + np.uint8(shift))
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def test_equals_pillow() -> None:
    shifts = [0, 1, 42, 85, 128, 171, 254, 255]
    images = random_images(len(shifts), 33, 20)
    images[1] = images[1, :, :, :1]  # grey
    expected = [shifted(image, shift) for image, shift in zip(pillow(images), shifts, strict=True)]
    assert_pixels(on_packed(hue.shift_hue)(images, np.int32(shifts)), expected, shifts)


def test_every_difference_of_bytes() -> None:
    """Hues depend on the order of the channels and on two differences alone."""
    low, high = np.triu_indices(256)
    middle = np.concatenate([np.arange(top + 1) for top in high[low == 0]])
    spread = np.concatenate([np.full(top + 1, top) for top in high[low == 0]])
    least = np.zeros_like(middle)
    colors = [np.stack(order, -1) for order in ((spread, middle, least), (least, spread, middle))]
    colors += [np.stack(order, -1) for order in ((middle, least, spread), (spread, least, middle))]
    colors += [np.stack(order, -1) for order in ((middle, spread, least), (least, middle, spread))]
    image = np.stack(colors).astype(np.uint8)
    found = np.asarray(jax.jit(lambda image: unpack(hue.shift_hue(pack(image), jnp.int32(7))))(jnp.asarray(image)))
    np.testing.assert_array_equal(found, np.asarray(shifted(Image.fromarray(image), 7)))


def test_a_third_of_a_turn_of_pure_red_by_hand() -> None:
    image = np.array([[[[255, 0, 0], [0, 0, 0], [9, 9, 9]]]], np.uint8)
    assert on_packed(hue.shift_hue)(image, np.int32([85])).tolist() == [[[[0, 255, 0], [0, 0, 0], [9, 9, 9]]]]


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0, 100])
def test_all_colours(shift: int) -> None:
    colors = np.arange(2**24, dtype=np.uint32).reshape(4096, 4096)
    image = np.stack([colors & 255, (colors >> 8) & 255, colors >> 16], -1).astype(np.uint8)
    found = jax.jit(lambda packed: unpack(hue.shift_hue(packed, jnp.int32(shift))))(jnp.asarray(colors))
    assert np.array_equal(found, np.asarray(shifted(Image.fromarray(image), shift)))
