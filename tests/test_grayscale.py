import jax.numpy as jnp
import numpy as np
import pytest
from pixel_cases import assert_pixels, pillow, random_images
from torch_reference import require

from jaxnext.augment.grayscale import Augmentation


def test_images_that_were_drawn_are_grey() -> None:
    images = random_images(4, 3, 5)
    grey = [image.convert("L").convert("RGB") if number < 2 else image for number, image in enumerate(pillow(images))]
    found = np.asarray(Augmentation().apply(jnp.asarray(images), np.arange(4) < 2))
    assert_pixels(found, grey)
    require()
    from torchvision.transforms.v2 import functional

    assert_pixels(found[:2], [functional.rgb_to_grayscale(image, 3) for image in pillow(images[:2])])


def test_probability() -> None:
    drawn = [Augmentation(probability=share).draw(1, 2, 4000, (8, 8)) for share in (0.0, 0.3, 1.0)]
    assert [each.mean() for each in drawn] == [0.0, pytest.approx(0.3, abs=0.03), 1.0]
    assert Augmentation().draw(1, 2, 4000, (8, 8)).mean() == pytest.approx(0.1, abs=0.02)
    with pytest.raises(ValueError, match=r"^augment\.grayscale\.probability: expected a number from 0 to 1, found -1"):
        Augmentation(probability=-1)
