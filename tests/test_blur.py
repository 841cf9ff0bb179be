import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pixel_cases import random_images

from jaxnext.augment.operations.blur import LARGEST_KERNEL, blur, blur_all, kernel, kernels


def in_doubles(image: np.ndarray, sigma: float, size: int) -> np.ndarray:
    """The same without fixed point, before it is rounded."""
    place = np.arange(size) - size // 2
    weights = np.exp(-(place**2) / (2 * sigma**2))
    weights /= weights.sum()
    padded = np.pad(image.astype(float), [(size // 2,) * 2] * 2 + [(0, 0)], mode="reflect")
    rows = sum(weight * padded[:, i : i + image.shape[1]] for i, weight in enumerate(weights))
    return np.asarray(sum(weight * rows[i : i + image.shape[0]] for i, weight in enumerate(weights)))


def test_weights_by_hand() -> None:
    assert kernel(1e-3, 3) == [0, 1 << 28, 0]
    assert kernel(1e6, 3) == [89478485, 89478486, 89478485]
    assert sum(kernel(1.7, 23)) == 1 << 28
    assert kernel(1.0, 3)[0] == round(2**28 / (2 + np.exp(0.5)))
    assert kernels([1e-3, 1e6], 3).tolist() == [kernel(1e-3, 3), kernel(1e6, 3)]


def test_nearest_to_the_exact_value() -> None:
    images, sigmas = random_images(6, 20, 27), [0.1, 0.7, 1.3, 2.0, 3.1, 0.4]
    found = np.asarray(jax.jit(jax.vmap(blur))(jnp.asarray(images), jnp.asarray(kernels(sigmas, 9))))
    for image, result, sigma in zip(images, found, sigmas, strict=True):
        assert np.abs(result - in_doubles(image, sigma, 9)).max() < 0.5 + 2e-5


@pytest.mark.slow
def test_the_largest_window_on_white_stays_white() -> None:
    """Here the sums have all 32 bits."""
    image = jnp.full((27, 26, 1), 255, jnp.uint8)
    weights = jnp.asarray(kernel(12.0, LARGEST_KERNEL), jnp.int32)
    np.testing.assert_array_equal(jax.jit(blur)(image, weights), image)


def test_only_the_chosen_ones_are_blurred() -> None:
    images = random_images(3, 9, 9)
    weights = jnp.asarray(kernels([2.0] * 3, 5))
    found = np.asarray(jax.jit(blur_all)(jnp.asarray(images), jnp.asarray([False, True, False]), weights))
    np.testing.assert_array_equal(found[[0, 2]], images[[0, 2]])
    np.testing.assert_array_equal(found[1], np.round(in_doubles(images[1], 2.0, 5)))
