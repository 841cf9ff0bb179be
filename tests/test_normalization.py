"""The augmentation against Pillow, pixel by pixel, and the statistics of what is drawn."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxnext.normalization import IMAGENET_MEAN, IMAGENET_STD, normalize


def all_bytes() -> np.ndarray:
    return np.arange(256, dtype=np.uint8)[None, :, None, None].repeat(3, axis=3)


def reference(dtype: type[np.floating]) -> np.ndarray:
    mean, std = np.array(IMAGENET_MEAN, dtype), np.array(IMAGENET_STD, dtype)
    return (all_bytes().astype(dtype) / dtype(255) - mean) / std


def test_normalize_literal_values() -> None:
    assert IMAGENET_MEAN == (0.485, 0.456, 0.406)
    assert IMAGENET_STD == (0.229, 0.224, 0.225)
    found = np.asarray(jax.jit(normalize, static_argnums=1)(all_bytes(), jnp.float32))[0, :, 0]
    expected = {
        0: (-2.117904, -2.0357141, -1.8044444),
        1: (-2.1007793, -2.0182073, -1.7870152),
        104: (-0.33692956, -0.21498597, 0.0081917979),
        128: (0.074064627, 0.2051822, 0.42649257),
        255: (2.2489083, 2.4285715, 2.64),
    }
    for byte, values in expected.items():
        np.testing.assert_array_equal(found[byte], np.array(values, np.float32))


def test_normalize_float32_is_pytorchs_to_the_bit() -> None:
    images = np.broadcast_to(all_bytes(), (2, 256, 5, 3))
    # With products and sums fused or not.
    for function in (normalize, jax.jit(normalize, static_argnums=1), jax.jit(normalize, static_argnums=1)):
        found = np.asarray(function(jnp.asarray(images), jnp.float32))
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, np.broadcast_to(reference(np.float32), images.shape))


def test_normalize_by_another_mean_and_deviation() -> None:
    mean, std = (0.5, 0.25, 0.1), (0.5, 0.3, 0.2)
    found = np.asarray(jax.jit(normalize, static_argnums=(1, 2, 3))(all_bytes(), jnp.float32, mean, std))
    expected = (all_bytes().astype(np.float32) / np.float32(255) - np.array(mean, np.float32)) / np.array(
        std, np.float32
    )
    np.testing.assert_array_equal(found, expected)


def test_normalize_float64_is_computed_in_float64() -> None:
    with jax.enable_x64(True):
        found = np.asarray(jax.jit(normalize, static_argnums=1)(all_bytes(), jnp.float64))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, reference(np.float64))


def test_normalize_bfloat16_is_float32_rounded_once() -> None:
    compiled = jax.jit(normalize, static_argnums=1)
    found = compiled(all_bytes(), jnp.bfloat16)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found, compiled(all_bytes(), jnp.float32).astype(jnp.bfloat16))
