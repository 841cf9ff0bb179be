import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pixel_cases import assert_pixels, pillow, random_images
from torch_reference import require

from jaxnext.augment.random_resized_crop import Augmentation


def parts(augmentation: Augmentation, count: int, size: tuple[int, int]) -> np.ndarray:
    rows = np.random.default_rng(0).random((count, 22)).tolist()
    return np.array([augmentation.part(row, size) for row in rows])


@pytest.mark.parametrize("size", [None, pytest.param((20, 9), marks=pytest.mark.slow)])
def test_equals_torchvision(size: tuple[int, int] | None) -> None:
    require()
    from torchvision.transforms.v2 import functional

    augmentation = Augmentation(size=size)
    images, drawn = random_images(12, 21, 30), parts(augmentation, 12, (21, 30)).tolist()
    found = np.asarray(jax.jit(augmentation.apply)(jnp.asarray(images), augmentation.drawn(drawn, (21, 30))))
    expected = [
        functional.resized_crop(image, *part, size=list(size or (21, 30)), antialias=True)
        for image, part in zip(pillow(images), drawn, strict=True)
    ]
    assert_pixels(found, expected, drawn)


def test_parts_have_the_areas_and_shapes_of_the_options() -> None:
    size = (300, 400)
    top, left, height, width = parts(Augmentation(), 6000, size).astype(float).T
    share, ratio = height * width / (size[0] * size[1]), width / height
    assert (share.min(), share.max()) == (pytest.approx(0.08, rel=0.03), pytest.approx(1.0, rel=0.03))
    assert (ratio.min(), ratio.max()) == (pytest.approx(0.75, rel=0.02), pytest.approx(4 / 3, rel=0.02))
    small = share < 0.5
    np.testing.assert_allclose(np.histogram(share[small], 4, (0.08, 0.5))[0] / small.sum(), 0.25, atol=0.04)
    shapes = np.histogram(np.log(ratio[small]), 4, np.log([0.75, 4 / 3]))[0]
    np.testing.assert_allclose(shapes / small.sum(), 0.25, atol=0.04)
    for start, part, whole in ((top, height, size[0]), (left, width, size[1])):
        assert (start >= 0).all()
        assert (start + part <= whole).all()
        room = part < whole / 2
        np.testing.assert_allclose(np.mean(start[room] / (whole - part[room])), 0.5, atol=0.03)


@pytest.mark.parametrize(
    ("options", "size", "part"),
    [
        # Nothing fits: the middle, with the nearest allowed shape.
        ({"scale": (1.0, 1.0), "ratio": (2.0, 2.0)}, (100, 100), (25, 0, 50, 100)),
        ({"scale": (1.0, 1.0), "ratio": (0.5, 0.5)}, (100, 100), (0, 25, 100, 50)),
        ({"scale": (1.0, 1.0), "ratio": (0.2, 0.8)}, (100, 40), (0, 0, 100, 40)),
        ({"scale": (1.0, 1.0), "ratio": (1.0, 1.0)}, (30, 30), (0, 0, 30, 30)),
    ],
)
def test_parts_by_hand(options: dict[str, Any], size: tuple[int, int], part: tuple[int, ...]) -> None:
    assert Augmentation(**options).part([0.3, 0.6] + [0.5, 0.999] * 10, size) == part


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(st.floats(0, 1, exclude_max=True), min_size=22, max_size=22),
    height=st.integers(1, 600),
    width=st.integers(1, 600),
)
def test_a_part_lies_in_the_image(numbers: list[float], height: int, width: int) -> None:
    top, left, high, wide = Augmentation().part(numbers, (height, width))
    assert 0 <= top <= top + high <= height
    assert 0 <= left <= left + wide <= width
    assert high >= 1
    assert wide >= 1


def test_size_after() -> None:
    assert Augmentation().size_after((3, 5)) == (3, 5)
    assert Augmentation(size=7).size_after((3, 5)) == (7, 7)
    assert Augmentation(size=(7, 8)).size_after((3, 5)) == (7, 8)
    assert Augmentation(size=(7, 8)).draw(0, 0, 2, (30, 50)).row.shape == (2, 7)


def test_what_is_drawn_is_recorded() -> None:
    drawn = Augmentation().draw(0, 0, 3, (64, 64))
    assert drawn.column[:, [0, -1]].tolist() == [[8, 35], [14, 63], [4, 58]]
    assert drawn.row[:, [0, -1]].tolist() == [[0, 26], [3, 60], [1, 60]]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"scale": (0.0, 1.0)}, "scale: expected two numbers in order, above 0 and at most 1, found [0.0, 1.0]"),
        ({"ratio": (1.0,)}, "ratio: expected two numbers in order, above 0, found [1.0]"),
        ({"size": 0}, "size: expected at least 1 pixel, [height, width], or null, found 0"),
        ({"size": (4, 0)}, "size: expected at least 1 pixel, [height, width], or null, found [4, 0]"),
        ({"size": (4,)}, "size: expected at least 1 pixel, [height, width], or null, found [4]"),
    ],
)
def test_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(f'augment.random_resized_crop.{sentence}')}$"):
        Augmentation(**options)
