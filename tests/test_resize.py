import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from square import square
from torch_reference import require

from jaxnext.data.bad_image import CorruptImage
from jaxnext.data.pixels import Pixels
from jaxnext.data.resize import fitted, resize


def random_image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng([height, width]).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [1, 8, 45, 100])
def test_stretch_is_pillows_bilinear(size: int) -> None:
    image = random_image(45, 61)
    expected = np.array(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(resize(image, square(size)), expected)


def test_it_antialiases() -> None:
    stripes = np.zeros((8, 8, 3), np.uint8)
    stripes[:, ::2] = 200
    assert set(np.unique(resize(stripes, square(2)))) <= set(range(80, 121))


def test_pad_keeps_everything() -> None:
    image = np.full((2, 4, 3), 9, np.uint8)
    assert resize(image, Pixels((4, 4), "pad"))[..., 0].tolist() == [[0] * 4, [9] * 4, [9] * 4, [0] * 4]
    assert resize(image, Pixels((3, 4), "pad"))[..., 0].tolist() == [[9] * 4, [9] * 4, [0] * 4]
    assert resize(image[:, :1], Pixels((2, 4), "pad"))[..., 0].tolist() == [[0, 9, 0, 0]] * 2
    assert resize(np.full((1, 900, 3), 9, np.uint8), Pixels((3, 3), "pad"))[..., 0].tolist() == [
        [0] * 3,
        [9] * 3,
        [0] * 3,
    ]


def test_crop_keeps_the_middle() -> None:
    image = np.arange(1, 9, dtype=np.uint8)[None, :, None].repeat(4, 0).repeat(3, 2)
    assert resize(image, Pixels((4, 4), "crop", 1.0))[..., 0].tolist() == [[3, 4, 5, 6]] * 4
    assert resize(image, Pixels((2, 4), "crop", 0.5))[..., 0].tolist() == [[3, 4, 5, 6]] * 2
    assert resize(image, Pixels((4, 8), "crop", 1.0))[..., 0].tolist() == image[..., 0].tolist()


@settings(max_examples=300, deadline=None)
@given(*[st.integers(1, 400)] * 4)
def test_fitted(height: int, width: int, to_height: int, to_width: int) -> None:
    tall, wide = fitted(height, width, to_height, to_width, cover=True)
    assert tall >= to_height
    assert wide >= to_width
    assert tall == to_height or wide == to_width
    tall, wide = fitted(height, width, to_height, to_width, cover=False)
    assert 1 <= tall <= to_height
    assert 1 <= wide <= to_width
    assert tall == to_height or wide == to_width


@pytest.mark.parametrize(("height", "width"), [(1, 1), (200, 30_000), (30_000, 200), (1, 3000)])
def test_the_narrowest_images(height: int, width: int) -> None:
    image = np.full((height, width, 3), 7, np.uint8)
    for way in ("stretch", "crop"):
        assert (resize(image, Pixels((64, 48), resize=way)) == 7).all()
    padded = resize(image, Pixels((64, 48), resize="pad"))[..., 0]
    # The longer side fills its own, the shorter one keeps a pixel.
    assert np.count_nonzero(padded) == {(1, 1): 48 * 48, (30_000, 200): 64}.get((height, width), 48)


def test_an_image_that_would_become_too_large_is_refused() -> None:
    narrow = np.zeros((1, 60_000, 3), np.uint8)
    with pytest.raises(CorruptImage) as error:
        resize(narrow, Pixels((224, 224), "crop"))
    assert str(error.value) == (
        "60000x1 pixels would become 15360000x256 before data.resize crop cuts them, more than the limit of "
        f"{Image.MAX_IMAGE_PIXELS}; pad and stretch take them"
    )
    assert resize(narrow, Pixels((8, 8), "pad")).shape == (8, 8, 3)
    assert resize(narrow, square(8)).shape == (8, 8, 3)
    assert resize(np.zeros((1, 1, 3), np.uint8), Pixels((8, 8), "crop")).shape == (8, 8, 3)


@pytest.mark.parametrize(("height", "width"), [(45, 61), (61, 45), (40, 40), (7, 300), (211, 90), (1, 1)])
@pytest.mark.parametrize(("size", "share"), [(32, 0.875), (33, 0.9), (16, 1.0), (50, 0.7)])
def test_equal_to_torchvision(height: int, width: int, size: int, share: float) -> None:
    require()
    from torchvision.transforms import v2 as vision

    image = Image.fromarray(random_image(height, width))
    cropped = vision.Compose([vision.Resize(int(size / share)), vision.CenterCrop(size)])(image)
    np.testing.assert_array_equal(resize(np.asarray(image), Pixels((size, size), "crop", share)), np.asarray(cropped))
    stretched = vision.Resize((size, size + 3))(image)
    np.testing.assert_array_equal(resize(np.asarray(image), Pixels((size, size + 3))), np.asarray(stretched))
    if max(height, width) < 300:
        inner = vision.Resize(None, max_size=size)(image)
        left, top = (size - inner.width) // 2, (size - inner.height) // 2
        sides = [left, top, size - inner.width - left, size - inner.height - top]
        padded = vision.functional.pad(inner, sides)
        np.testing.assert_array_equal(resize(np.asarray(image), Pixels((size, size), "pad")), np.asarray(padded))
