import jax.numpy as jnp
import numpy as np

from jaxnext.inference.tta.flips import Views


def test_the_image_and_its_mirror_image() -> None:
    images = np.arange(2 * 2 * 3 * 3, dtype=np.uint8).reshape(2, 2, 3, 3)
    whole, mirrored = Views().views(jnp.asarray(images))
    np.testing.assert_array_equal(whole, images)
    assert mirrored.dtype == np.uint8
    assert mirrored[0, 0].tolist() == [[6, 7, 8], [3, 4, 5], [0, 1, 2]]
    assert mirrored[1, 1].tolist() == [[33, 34, 35], [30, 31, 32], [27, 28, 29]]
