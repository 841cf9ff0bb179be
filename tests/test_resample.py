import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from pixel_cases import random_images

from jaxnext.augment.operations.packed import pack, unpack
from jaxnext.augment.operations.resample import down_the_columns_first, resample, taps, weights

ONE = 1 << 22


def test_weights_by_hand() -> None:
    # Twice as long: each pixel of the result lies a quarter of a pixel from the nearest.
    first, weight = weights(np.array([3]), np.array([2]), 9, 9)
    assert (first.dtype, weight.dtype, first.shape, weight.shape) == (np.int32, np.int32, (1, 9), (1, 9, 2))
    first, weight = weights(np.array([3]), np.array([2]), 4, 4)
    assert first.tolist() == [[3, 3, 3, 4]]
    assert weight.tolist() == [[[ONE, 0], [ONE * 3 // 4, ONE // 4], [ONE // 4, ONE * 3 // 4], [ONE, 0]]]
    # Half as long: the triangle is two pixels wide on either side.
    first, weight = weights(np.array([0]), np.array([4]), 4, 2)
    assert taps(4, 2) == 4
    assert first.tolist() == [[0, 1]]
    sevenths = [round(ONE * share / 7) for share in (3, 3, 1)]
    assert weight.tolist() == [[[*sevenths, 0], [*reversed(sevenths), 0]]]


def test_a_part_as_large_as_the_result_is_copied() -> None:
    first, weight = weights(np.array([5]), np.array([6]), 12, 6)
    assert first.tolist() == [list(range(5, 11))]
    assert weight[0].tolist() == [[ONE, 0, 0, 0]] * 6


def test_the_order_of_the_two_passes() -> None:
    found = down_the_columns_first(np.array([8, 9, 20, 20, 20, 5]), np.array([8, 1, 4, 14, 16, 1]), (8, 8))
    assert found.tolist() == [False, True, True, False, False, False]


@pytest.mark.parametrize(
    ("whole", "size"),
    [
        ((23, 31), (9, 12)),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (((23, 31), (23, 31)), ((40, 12), (7, 30)), ((12, 40), (30, 7)))
        ),
    ],
)
def test_equals_pillow(whole: tuple[int, int], size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    images = random_images(12, *whole)
    height, width = (rng.integers(1, side + 1, 12) for side in whole)
    height[0], width[0] = whole
    top, left = (rng.integers(0, side - part + 1) for side, part in zip(whole, (height, width), strict=True))
    first = down_the_columns_first(height, width, size)
    drawn = (*weights(left, width, whole[1], size[1]), *weights(top, height, whole[0], size[0]), first)

    def one(image, column, column_weight, row, row_weight, down_first):
        return unpack(resample(pack(image), (column, column_weight), (row, row_weight), down_first))

    found = np.asarray(jax.jit(jax.vmap(one))(jnp.asarray(images), *map(jnp.asarray, drawn)))
    for number, (image, y, x, high, wide) in enumerate(zip(images, top, left, height, width, strict=True)):
        part = Image.fromarray(image).crop((x, y, x + wide, y + high))
        expected = np.asarray(part.resize(size[::-1], Image.Resampling.BILINEAR))
        np.testing.assert_array_equal(found[number], expected, err_msg=f"{(y, x, high, wide)} of {whole} to {size}")
