import numpy as np

from jaxnext.reporting.overlay import overlay, stretched


def test_colours_stand_over_the_image() -> None:
    image = np.array([[[0, 100, 200], [0, 100, 200], [0, 100, 200]]], np.uint8)
    found = overlay(image, np.array([[0.0, 0.5, 1.0]]))
    # A tenth of (48, 18, 59), 35 hundredths of (164, 252, 60), 6 tenths of (122, 4, 3).
    np.testing.assert_array_equal(found, [[[5, 92, 186], [57, 153, 151], [73, 42, 82]]])


def test_a_small_image_is_enlarged() -> None:
    values = np.array([[0.0, 1.0], [0.0, 1.0]], np.float32)
    found = overlay(np.zeros((2, 2, 3), np.uint8), values, 8)
    assert (found.shape, found.dtype) == ((8, 8, 3), np.uint8)
    np.testing.assert_array_equal(found[:, 0], np.tile([5, 2, 6], (8, 1)))
    np.testing.assert_array_equal(found[:, -1], np.tile([73, 2, 2], (8, 1)))
    assert overlay(np.zeros((2, 4, 3), np.uint8), np.zeros((2, 4)), 8).shape == (4, 8, 3)
    assert overlay(np.zeros((9, 4, 3), np.uint8), np.zeros((9, 4)), 8).shape == (9, 4, 3)


def test_stretched() -> None:
    np.testing.assert_array_equal(stretched(np.array([[0.25, 0.5], [0.75, 0.5]])), [[0, 0.5], [1, 0.5]])
    np.testing.assert_array_equal(stretched(np.full((2, 2), 0.5)), np.zeros((2, 2)))
