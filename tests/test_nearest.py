import numpy as np

from jaxnext.inference.nearest import Nearest, unit

VECTORS = np.array([[1, 0], [3, 4], [0, 2], [-1, 0], [0, 0], [6, 8]], np.float32)


def test_cosines_the_largest_first() -> None:
    nearest = Nearest(np.array([[2, 0], [0, 1]], np.float32), 3)
    # One after another, and all at once: the same.
    for number, vector in enumerate(VECTORS):
        nearest.add(np.array([number]), vector[None])
    at_once = Nearest(np.array([[2, 0], [0, 1]], np.float32), 3)
    at_once.add(np.arange(6), VECTORS)
    for found in (nearest, at_once):
        assert found.numbers.tolist() == [[0, 1, 5], [2, 1, 5]]
        np.testing.assert_allclose(found.similarities, [[1, 0.6, 0.6], [1, 0.8, 0.8]], rtol=1e-15)


def test_fewer_than_are_wanted() -> None:
    nearest = Nearest(np.array([[1, 0]], np.float32), 3)
    nearest.add(np.array([7]), np.array([[0, 5]], np.float32))
    nearest.add(np.zeros(0, np.int64), np.zeros((0, 2), np.float32))
    assert (nearest.numbers.tolist(), nearest.similarities.tolist()) == ([[7]], [[0.0]])


def test_a_vector_of_zeros_is_like_none() -> None:
    assert unit(np.array([[0, 0], [0, 2]], np.float32)).tolist() == [[0, 0], [0, 1]]
