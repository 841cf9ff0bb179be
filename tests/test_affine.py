import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pixel_cases import assert_pixels, on_packed, pillow, random_images

from jaxnext.augment.operations.affine import (
    IDENTITY,
    NO_CHANGE,
    Coefficients,
    fixed,
    rotation_coefficients,
    shear,
    transform,
    translation,
)

warp = on_packed(transform)


def shear_coefficients(horizontal: float, vertical: float) -> Coefficients:
    return fixed(shear(horizontal, vertical))


def translation_coefficients(right: int, down: int) -> Coefficients:
    return fixed(translation(right, down))


def test_coefficients_by_hand() -> None:
    assert fixed(NO_CHANGE) == IDENTITY
    assert translation_coefficients(0, 0) == IDENTITY
    assert translation_coefficients(3, -2) == (65536, 0, 32768 - 3 * 65536, 0, 65536, 32768 + 2 * 65536)
    assert shear_coefficients(0.0, 0.0) == IDENTITY
    assert shear_coefficients(0.5, 0.0) == (65536, 32768, 49152, 0, 65536, 32768)
    assert shear_coefficients(0.0, -0.25) == (65536, 0, 32768, -16384, 65536, 24576)
    assert rotation_coefficients(180.0, (4, 4)) == (-65536, 0, 4 * 65536 - 32768, 0, -65536, 4 * 65536 - 32768)


def test_pixels_by_hand() -> None:
    image = np.arange(9, dtype=np.uint8).reshape(1, 3, 3, 1).repeat(3, axis=3)
    moved = warp(image, np.array([translation_coefficients(1, -1)], np.int32))
    assert moved[0, :, :, 0].tolist() == [[0, 3, 4], [0, 6, 7], [0, 0, 0]]
    sheared = warp(image, np.array([shear_coefficients(1.0, 0.0)], np.int32))
    assert sheared[0, :, :, 0].tolist() == [[1, 2, 0], [5, 0, 0], [0, 0, 0]]


def test_equals_pillow() -> None:
    shears = [0.0, 0.3, -0.3, 0.99, -0.99, 0.033, 1.7]
    maps = [shear_coefficients(value, 0.0) for value in shears] + [shear_coefficients(0.0, value) for value in shears]
    matrices = [(1, value, 0, 0, 1, 0) for value in shears] + [(1, 0, 0, value, 1, 0) for value in shears]
    moves = [(3, 0), (0, -5), (-40, 2), (19, 27)]
    maps += [translation_coefficients(*move) for move in moves]
    matrices += [(1, 0, -right, 0, 1, -down) for right, down in moves]
    angles = [0.0, 90.0, 180.0, -45.0, 135.0, -12.3]
    images = random_images(len(maps) + len(angles), 28, 20)
    pictures = pillow(images)
    expected = [
        image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)
        for image, matrix in zip(pictures, matrices, strict=False)
    ]
    expected += [image.rotate(angle) for image, angle in zip(pictures[len(maps) :], angles, strict=True)]
    maps += [rotation_coefficients(angle, (28, 20)) for angle in angles]
    assert_pixels(warp(images, np.array(maps, np.int32)), expected, matrices + angles)


@settings(max_examples=60, deadline=None)
@given(value=st.floats(-2, 2))
def test_shears_keep_the_upper_left_corner(value: float) -> None:
    a, b, c, d, e, f = shear_coefficients(value, 0.0)
    assert (a, d, e, f) == (65536, 0, 65536, 32768)
    assert b == pytest.approx(65536 * value, abs=1)
    assert c == pytest.approx(32768 + 32768 * value, abs=1)
    assert shear_coefficients(0.0, value) == (e, 0, f, b, a, c)


def test_all_of_an_image_may_be_outside() -> None:
    image = np.full((1, 3, 3, 3), 255, np.uint8)
    assert not warp(image, np.array([translation_coefficients(3, 0)], np.int32)).any()
