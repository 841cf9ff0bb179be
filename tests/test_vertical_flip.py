import jax.numpy as jnp
import numpy as np
import pytest
from PIL import ImageOps
from pixel_cases import assert_pixels, pillow, random_images

from jaxnext.augment.vertical_flip import Augmentation


def test_images_that_were_drawn_are_turned_upside_down() -> None:
    images = random_images(4, 3, 5)
    expected = [ImageOps.flip(image) if number < 2 else image for number, image in enumerate(pillow(images))]
    assert_pixels(np.asarray(Augmentation().apply(jnp.asarray(images), np.arange(4) < 2)), expected)


def test_probability() -> None:
    drawn = [Augmentation(probability=share).draw(1, 2, 4000, (8, 8)) for share in (0.0, 0.3, 1.0)]
    assert [each.mean() for each in drawn] == [0.0, pytest.approx(0.3, abs=0.03), 1.0]
    assert Augmentation().draw(0, 0, 8, (8, 8)).tolist() == [True, True, True, False, False, True, False, False]
    with pytest.raises(ValueError, match=r"^augment\.vertical_flip\.probability: expected a number from 0 to 1"):
        Augmentation(probability=1.1)
