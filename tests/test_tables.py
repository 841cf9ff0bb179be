import jax
import jax.numpy as jnp
import numpy as np
from PIL import ImageOps
from pixel_cases import assert_pixels, on_packed, pillow, random_images

from jaxnext.augment.operations import tables


def test_levels_equal_pillows() -> None:
    images = random_images(14, 9, 13)
    thresholds = [256, 255, 128, 1, 0] + [256] * 9
    bits = [8] * 6 + [1, 2, 3, 4, 5, 6, 7, 8]
    masks = [256 - 2 ** (8 - count) for count in bits]
    expected = [
        ImageOps.posterize(ImageOps.solarize(image, threshold), count)
        for image, threshold, count in zip(pillow(images), thresholds, bits, strict=True)
    ]
    found = on_packed(tables.invert_and_mask)(images, np.int32(thresholds), np.int32(masks))
    assert_pixels(found, expected, list(zip(thresholds, bits, strict=True)))
    np.testing.assert_array_equal(found[4], np.asarray(ImageOps.invert(pillow(images)[4])))


def test_autocontrast_and_equalize_equal_pillows() -> None:
    images = random_images(24, 31, 17)
    images[0] = 7  # a single level
    images[1, :, :, 0], images[1, 0, 0, 0] = 255, 254
    images[2] = np.where(images[2] > 127, 200, 13)
    for function, expected in ((tables.autocontrast, ImageOps.autocontrast), (tables.equalize, ImageOps.equalize)):
        assert_pixels(on_packed(function)(images), [expected(image) for image in pillow(images)])


def test_every_range_of_levels_is_spread_as_in_doubles() -> None:
    low, high = np.triu_indices(256)
    found = np.asarray(jax.jit(jax.vmap(tables._spread))(jnp.int32(low), jnp.int32(high)))
    level = np.arange(256)
    scale = 255.0 / np.maximum(high - low, 1)
    expected = np.clip((level * scale[:, None] + (-low * scale)[:, None]).astype(int), 0, 255)
    expected = np.where((high > low)[:, None], expected, level)
    inside = (level >= low[:, None]) & (level <= high[:, None])
    np.testing.assert_array_equal(found[inside], expected[inside])
    # Doubles fall below a whole result in so many cases.
    exact = 255 * (level - low[:, None]) // np.maximum(high - low, 1)[:, None]
    assert np.count_nonzero((exact != expected) & inside & (high > low)[:, None]) == 12094


def test_equalize_where_the_steps_are_short() -> None:
    """Pillow's table then goes beyond 255 and is cut."""
    image = np.full((1, 1, 512, 3), 3, np.uint8)
    image[0, 0, :300] = np.arange(300)[:, None] % 250
    image[0, 0, -1] = 251
    assert_pixels(on_packed(tables.equalize)(image), [ImageOps.equalize(image) for image in pillow(image)])


def test_both_histograms_count() -> None:
    values = np.random.default_rng(0).integers(0, 256, 5000, np.int32) // 3
    expected = np.bincount(values, minlength=256)
    for function in (tables._scattered, tables._of_digits):
        found = jax.jit(function)(jnp.asarray(values))
        assert found.dtype == jnp.int32
        np.testing.assert_array_equal(found, expected)
