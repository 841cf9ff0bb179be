import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pixel_cases import pillow, random_images
from torch_reference import require

from jaxnext.augment.gaussian_blur import Augmentation, Drawn
from jaxnext.augment.operations.blur import kernels
from jaxnext.errors import JaxnextError


@pytest.mark.slow
def test_differs_from_torchvision_by_a_level_in_a_pixel_of_a_thousand_at_most() -> None:
    require()
    from torchvision.transforms.v2 import functional

    images, sigmas = random_images(12, 31, 40), np.linspace(0.1, 2.0, 12).tolist()
    drawn = Drawn(np.ones(12, bool), kernels(sigmas, 9))
    found = np.asarray(jax.jit(Augmentation().apply)(jnp.asarray(images), drawn))
    blurred = [functional.gaussian_blur(image, [9, 9], [s, s]) for image, s in zip(pillow(images), sigmas, strict=True)]
    difference = np.abs(found.astype(int) - np.stack([np.asarray(image) for image in blurred]))
    assert difference.max() <= 1
    assert (difference > 0).any(-1).mean() < 1e-3


def test_deviations_and_probability() -> None:
    drawn = Augmentation(kernel_size=3, sigma=(0.5, 1.0), probability=0.25).draw(1, 2, 4000, (8, 8))
    assert drawn.chosen.mean() == pytest.approx(0.25, abs=0.03)
    assert drawn.weights.shape == (4000, 3)
    # exp(-1 / 2 sigma^2) is the share of a neighbour and of the middle.
    sigma = np.sqrt(-0.5 / np.log(drawn.weights[:, 0] / drawn.weights[:, 1]))
    np.testing.assert_allclose(np.histogram(sigma, 5, (0.5, 1.0))[0] / 4000, 0.2, atol=0.03)
    assert 0.5 <= sigma.min() <= sigma.max() <= 1.0


def test_the_window_fits_the_image() -> None:
    Augmentation(kernel_size=9).draw(0, 0, 1, (5, 5))
    sentence = "augment.gaussian_blur.kernel_size: expected at most 7 for images of [9, 4] pixels, found 9"
    with pytest.raises(JaxnextError, match=f"^{re.escape(sentence)}$"):
        Augmentation(kernel_size=9).draw(0, 0, 1, (9, 4))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"kernel_size": 4}, "kernel_size: expected an odd number from 1 to 51, found 4"),
        ({"kernel_size": 53}, "kernel_size: expected an odd number from 1 to 51, found 53"),
        ({"sigma": (0.0, 1.0)}, "sigma: expected two numbers in order, above 0, found [0.0, 1.0]"),
        ({"probability": 2.0}, "probability: expected a number from 0 to 1, found 2.0"),
    ],
)
def test_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(f'augment.gaussian_blur.{sentence}')}$"):
        Augmentation(**options)
