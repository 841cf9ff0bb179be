import re
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from pixel_cases import random_images
from torch_reference import require

from jaxnext.augment.random_erasing import Augmentation, Drawn


def test_the_rectangle_is_painted() -> None:
    images = jnp.full((3, 4, 5, 3), 9, jnp.uint8)
    drawn = Drawn(*np.array([[1, 2, 2, 3], [0, 0, 0, 0], [3, 0, 1, 1]], np.int32).T)
    found = np.asarray(Augmentation(value=(1, 2, 3)).apply(images, drawn))
    assert found[0, :, :, 1].tolist() == [[9, 9, 9, 9, 9], [9, 9, 2, 2, 2], [9, 9, 2, 2, 2], [9, 9, 9, 9, 9]]
    assert (found[1] == 9).all()
    assert found[2, 3].tolist() == [[1, 2, 3]] + [[9, 9, 9]] * 4
    assert (found[2, :3] == 9).all()
    assert np.asarray(Augmentation().apply(images, drawn))[0, 1, 2].tolist() == [0, 0, 0]


def test_equals_torchvision() -> None:
    torch, _ = require()
    from torchvision.transforms.v2 import functional

    augmentation = Augmentation(probability=1.0, value=(124, 116, 104))
    images, drawn = random_images(12, 17, 23), augmentation.draw(0, 0, 12, (17, 23))
    found = np.asarray(augmentation.apply(jnp.asarray(images), drawn))
    value = torch.tensor([124.0, 116.0, 104.0])[:, None, None]
    for image, result, (top, left, height, width) in zip(images, found, zip(*drawn, strict=True), strict=True):
        tensor = torch.from_numpy(image.transpose(2, 0, 1).copy())
        expected = functional.erase(tensor, int(top), int(left), int(height), int(width), value)
        np.testing.assert_array_equal(result.transpose(2, 0, 1), expected.numpy())


def test_rectangles_have_the_areas_and_shapes_of_the_options() -> None:
    size = (400, 600)
    top, left, height, width = (v.astype(float) for v in Augmentation(probability=1.0).draw(1, 2, 4000, size))
    share, ratio = height * width / (size[0] * size[1]), height / width
    assert (share.min(), share.max()) == (pytest.approx(0.02, rel=0.05), pytest.approx(0.33, rel=0.02))
    # Those that do not fit are drawn anew: fewer high and large ones.
    assert (ratio.min(), ratio.max()) == (pytest.approx(0.3, rel=0.02), pytest.approx(3.3, rel=0.05))
    small = share < 0.1
    np.testing.assert_allclose(
        np.histogram(np.log(ratio[small]), 4, np.log([0.3, 3.3]))[0] / small.sum(), 0.25, atol=0.06
    )
    assert (top + height <= size[0]).all()
    assert (left + width <= size[1]).all()
    np.testing.assert_allclose(np.mean(top / (size[0] - height)), 0.5, atol=0.03)
    assert (np.corrcoef(top / (size[0] - height), left / (size[1] - width))[0, 1]) == pytest.approx(0, abs=0.06)


def test_probability_and_images_in_which_nothing_fits() -> None:
    drawn = Augmentation(probability=0.25).draw(1, 2, 4000, (64, 64))
    assert (drawn.height > 0).mean() == pytest.approx(0.25, abs=0.03)
    assert ((drawn.height > 0) == (drawn.width > 0)).all()
    assert not np.any(Augmentation(probability=1.0, scale=(1.0, 1.0)).draw(0, 0, 9, (64, 64)))


def test_what_is_drawn_is_recorded() -> None:
    assert np.stack(Augmentation().draw(0, 0, 3, (64, 64)), 1).tolist() == [[8, 4, 28, 28], [0, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"value": 256}, "value: expected one level or three, from 0 to 255, found 256"),
        ({"value": (1, 2)}, "value: expected one level or three, from 0 to 255, found [1, 2]"),
        ({"scale": (0.0, 0.5)}, "scale: expected two numbers in order, above 0 and at most 1, found [0.0, 0.5]"),
        ({"ratio": (2.0, 0.5)}, "ratio: expected two numbers in order, above 0, found [2.0, 0.5]"),
        ({"probability": 2.0}, "probability: expected a number from 0 to 1, found 2.0"),
    ],
)
def test_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(f'augment.random_erasing.{sentence}')}$"):
        Augmentation(**options)
