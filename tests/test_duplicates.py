import io

import numpy as np
import pytest
from inspected import encoded, picture
from PIL import Image

from jaxnext.data.duplicates import colours, nearly_same, perceptual_hash, same, small_picture


def small(image: Image.Image | bytes) -> np.ndarray:
    opened = Image.open(io.BytesIO(image)) if isinstance(image, bytes) else image
    return small_picture(np.asarray(opened.convert("RGB")))


def groups(*images: Image.Image | bytes) -> list[int]:
    pictures = [small(image) for image in images]
    return nearly_same([perceptual_hash(each) for each in pictures], [colours(each) for each in pictures]).tolist()


def test_a_hash_has_one_bit_for_each_low_frequency() -> None:
    flat = np.full((32, 32, 3), 77, np.uint8)
    # The mean alone is above the median of the others, which are all zero.
    assert perceptual_hash(flat) == 1 << 63
    # Brighter from left to right: of the cosines along a row the odd ones have a part, all below zero, so that those
    # along columns, which are zero, are the median.
    ramp = np.broadcast_to(np.arange(32, dtype=np.uint8)[None, :, None] * 8, (32, 32, 3))
    assert perceptual_hash(ramp) == 1 << 63
    assert perceptual_hash(ramp[:, ::-1]) == 0b11010101 << 56


def test_colours_are_means_of_fields() -> None:
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:2, :2] = [[[10, 20, 30], [20, 20, 30]], [[10, 20, 30], [20, 20, 30]]]
    assert colours(pixels) == bytes([15, 20, 30] + [0] * 765)


LARGE = picture(3).resize((192, 256), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    "again",
    [
        encoded(LARGE, "JPEG", quality=50),
        encoded(LARGE, "WEBP", quality=60),
        encoded(LARGE.resize((384, 512), Image.Resampling.BICUBIC)),
        encoded(LARGE.resize((100, 150), Image.Resampling.BILINEAR), "JPEG", quality=80),
    ],
    ids=["jpeg", "webp", "doubled", "smaller"],
)
def test_another_encoding_is_nearly_the_same(again: bytes) -> None:
    assert groups(picture(4), LARGE, picture(5), again) == [0, 1, 2, 1]


def test_other_pictures_are_not() -> None:
    red, green = Image.new("RGB", (9, 9), "red"), Image.new("RGB", (9, 9), "green")
    mirrored = picture(0).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    # Flat ones have the same hash.
    assert groups(red, green, red, picture(0), mirrored, *map(picture, range(1, 20))) == [0, 1, 0, *range(3, 24)]
    assert groups() == []


def test_likeness_is_passed_on() -> None:
    flat = [bytes([level]) * 768 for level in (60, 100, 64, 68, 72, 97)]
    assert nearly_same([0] * 6, flat).tolist() == [0, 1, 0, 0, 0, 1]
    assert nearly_same([0] * 3, [flat[0], flat[4], flat[0]]).tolist() == [0, 1, 0]


def test_ten_bits_and_four_levels_are_the_limit() -> None:
    black = bytes(768)
    assert nearly_same([0, 0b1111111111], [black, black]).tolist() == [0, 0]
    assert nearly_same([0, 0b11111111111], [black, black]).tolist() == [0, 1]
    assert nearly_same([2**64 - 1, 2**64 - 2], [black, bytes([4]) * 768]).tolist() == [0, 0]
    assert nearly_same([2**64 - 1, 2**64 - 2], [black, bytes([4]) * 767 + b"\5"]).tolist() == [0, 1]


def test_pairs_of_all_blocks_are_compared() -> None:
    random = np.random.default_rng(0)
    count = 4000
    hashes = random.integers(0, 2**64, count, np.uint64).tolist()
    pictures = [row.tobytes() for row in random.integers(0, 256, (count, 768), np.uint8)]
    expected = list(range(count))
    for first, again in ((0, 3999), (5, 6), (1500, 3000), (3000, 3998)):
        hashes[again], pictures[again] = hashes[first] ^ 0b101, pictures[first]
        expected[again] = expected[first]
    # The third of these pairs, in a later block, joins the groups of the first two.
    for number, level in ((10, 112), (3001, 108), (2000, 104), (11, 100)):
        hashes[number], pictures[number], expected[number] = 0, bytes([level]) * 768, 10
    assert nearly_same(hashes, pictures).tolist() == expected


def test_the_same() -> None:
    assert same([b"a", b"b", b"a", b"", b"b", b""]).tolist() == [0, 1, 0, 3, 1, 3]
    assert same([]).tolist() == []
