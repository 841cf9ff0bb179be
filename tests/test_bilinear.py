import jax
import numpy as np
import pytest
from PIL import Image
from pixel_cases import assert_pixels, on_packed, pillow, random_images

from jaxnext.augment.operations.affine import NO_CHANGE, Matrix, rotation, shear, translation
from jaxnext.augment.operations.bilinear import bits, transform
from jaxnext.augment.operations.packed import pack, unpack

FILL = 7 | 8 << 8 | 9 << 16
warp = on_packed(lambda packed, affine: transform(packed, affine, FILL))


def test_bits_of_doubles() -> None:
    found = bits((1.0, -0.1, 0.0, 2.0**-60, 3.5, -7.0))
    assert (found.shape, found.dtype) == ((7, 2), np.int32)
    assert found[0].tolist() == [0, 0x3FF00000]
    assert found[1].tolist() == [0x9999999A - 2**32, 0xBFB99999 - 2**32]
    assert found[6].tolist() == [0, 0]


def test_pixels_by_hand() -> None:
    image = np.array([[0, 100, 255], [40, 80, 120]], np.uint8)[None, :, :, None].repeat(3, axis=3)

    def moved(matrix: Matrix) -> np.ndarray:
        return warp(image, bits(matrix)[None])[0]

    np.testing.assert_array_equal(moved(NO_CHANGE), image[0])
    # A quarter of a pixel from the left; at the border there is one pixel to take from.
    assert moved((1.0, 0.0, -0.25, 0.0, 1.0, 0.0))[:, :, 0].tolist() == [[0, 75, 216], [40, 70, 110]]
    # One pixel to the right: red, green and blue of the fill.
    assert moved(translation(1, 0))[0].tolist() == [[7, 8, 9], [0, 0, 0], [100, 100, 100]]
    # Between the rows: 0.5 * 0 + 0.5 * 40, ..., of 187.5 the fraction is dropped.
    assert moved((1.0, 0.0, 0.0, 0.0, 1.0, 0.5))[0, :, 0].tolist() == [20, 90, 187]


@pytest.mark.parametrize("size", [(33, 33), (28, 20)], ids=str)
def test_equals_pillow(size: tuple[int, int]) -> None:
    """At 45 degrees, and of an odd size at 30 and 60, bytes hang on the last bit of a place."""
    angles = [0.0, 90.0, 180.0, 270.0, 45.0, -45.0, 135.0, 30.0, -60.0, 1e-9, 90 - 1e-9, *np.arange(30) * 4.5 - 60]
    shears = [0.3, -0.3, 0.99, -0.99, 0.033, 0.5, 1.0]
    maps = [shear(value, 0.0) for value in shears] + [shear(0.0, value) for value in shears] + [translation(3, -2)]
    images = random_images(len(maps) + len(angles), *size)
    pictures = pillow(images)
    expected = [
        image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=(7, 8, 9))
        for image, matrix in zip(pictures, maps, strict=False)
    ]
    expected += [
        image.rotate(angle, Image.Resampling.BILINEAR, fillcolor=(7, 8, 9))
        for image, angle in zip(pictures[len(maps) :], angles, strict=True)
    ]
    names = [*maps, *angles]
    encoded = np.stack([bits(matrix) for matrix in maps + [rotation(angle, size) for angle in angles]])
    assert_pixels(warp(images, encoded), expected, names)


def test_products_are_rounded_where_the_compiler_may_fuse_them() -> None:
    angles, size = [45.0, -45.0, 135.0, -135.0, 30.0, *np.arange(1, 30) * 4.5], (33, 33)
    images = np.random.default_rng(1).integers(0, 256, (len(angles), *size, 3), np.uint8)
    encoded = np.stack([bits(rotation(angle, size)) for angle in angles])
    lowered = jax.jit(jax.vmap(lambda image, affine: unpack(transform(pack(image), affine)))).lower(images, encoded)
    # The tests' programs are otherwise compiled without what fuses.
    options = {"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False}
    found = np.asarray(lowered.compile(compiler_options=options)(images, encoded))
    turned = [
        image.rotate(angle, Image.Resampling.BILINEAR) for image, angle in zip(pillow(images), angles, strict=True)
    ]
    assert_pixels(found, turned, angles)


def test_double_precision_stays_inside() -> None:
    assert not jax.config.read("jax_enable_x64")
    lowered = jax.jit(transform).lower(np.zeros((4, 4), np.uint32), bits(NO_CHANGE)).as_text()
    assert "f64" in lowered
    assert jax.jit(transform)(np.zeros((4, 4), np.uint32), bits(NO_CHANGE)).dtype == np.uint32
