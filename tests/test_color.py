import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter
from pixel_cases import assert_pixels, on_packed, pillow, random_images

from jaxnext.augment.operations import color

FACTORS = np.array([0.0, 0.5, 1.0, 1.9, 2.0, *np.random.default_rng(1).uniform(0, 2, 13)], np.float32)


@pytest.mark.parametrize(
    ("function", "enhancer"),
    [
        (color.brightness, ImageEnhance.Brightness),
        (color.contrast, ImageEnhance.Contrast),
        (color.saturation, ImageEnhance.Color),
        (color.sharpness, ImageEnhance.Sharpness),
    ],
)
def test_enhancers_equal_pillows(function, enhancer) -> None:
    images = random_images(len(FACTORS), 11, 7)
    expected = [enhancer(image).enhance(float(factor)) for image, factor in zip(pillow(images), FACTORS, strict=True)]
    assert_pixels(on_packed(function)(images, FACTORS), expected, FACTORS)


def test_grey_equals_pillows() -> None:
    images = random_images(4, 40, 30)
    expected = [np.stack([np.asarray(image.convert("L"))] * 3, -1) for image in pillow(images)]
    assert_pixels(on_packed(color.grayscale)(images), expected)


def test_smooth_by_hand() -> None:
    channel = np.array([[0, 0, 0, 9], [0, 13, 0, 9], [0, 0, 26, 9], [1, 1, 1, 1]], np.int32)
    # Of the inner ones: 91 / 13, 66 / 13, 42 / 13 and 164 / 13.
    found = jax.jit(color.smooth)(jnp.asarray(channel))
    assert found.tolist() == [[0, 0, 0, 9], [0, 7, 5, 9], [0, 3, 13, 9], [1, 1, 1, 1]]
    image = Image.fromarray(channel.astype(np.uint8))
    np.testing.assert_array_equal(found, np.asarray(image.filter(ImageFilter.SMOOTH)))


@pytest.mark.parametrize("shape", [(2, 5), (5, 2), (1, 1)])
def test_images_too_small_for_a_neighbourhood_stay(shape: tuple[int, int]) -> None:
    channel = np.arange(shape[0] * shape[1], dtype=np.int32).reshape(shape)
    np.testing.assert_array_equal(color.smooth(jnp.asarray(channel)), channel)


def test_every_sum_of_a_neighbourhood_is_rounded_to_nearest() -> None:
    """Sums up to 13 * 255 as the products that stand for the division."""
    total = np.arange(13 * 255 + 1)
    channel = jnp.asarray(np.stack([total // 13] * 9).reshape(3, 3, -1).transpose(2, 0, 1), jnp.int32)
    channel = channel.at[:, 0, 0].add(jnp.asarray(total % 13, jnp.int32))
    np.testing.assert_array_equal(jax.jit(color.smooth)(channel)[:, 1, 1], np.round(total / 13).astype(int))
