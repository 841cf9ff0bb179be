import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnext.ops.pooling import max_pool
from jaxnext.ops.pooling_at_once import first_maximum, to_places


def test_by_hand() -> None:
    x = jnp.array([[1.0, 5.0, 2.0], [5.0, 4.0, 3.0], [0.0, 9.0, 9.0]]).reshape(1, 3, 3, 1)
    best, place = first_maximum(x)
    assert best[0, :, :, 0].tolist() == [[5, 5], [9, 9]]
    # In the windows around the corners of the image the middle is place 4.
    assert place[0, :, :, 0].tolist() == [[5, 3], [5, 3]]
    dx = to_places(jnp.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1), place, (3, 3))
    assert dx[0, :, :, 0].tolist() == [[0, 1 + 2, 0], [0, 0, 0], [0, 3 + 4, 0]]


@pytest.mark.parametrize("size", [(6, 4), (5, 7)])
def test_it_is_the_max_pool(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    # Small whole numbers: many are equal.
    x = jnp.asarray(rng.integers(0, 4, (2, *size, 3)), jnp.float32)
    expected, pullback = jax.vjp(max_pool, x)
    dy = jnp.asarray(rng.normal(size=expected.shape), jnp.float32)
    best, place = jax.jit(first_maximum)(x)
    assert best.tolist() == expected.tolist()
    dx = jax.jit(to_places, static_argnums=2)(dy, place, size)
    np.testing.assert_allclose(dx, pullback(dy)[0], rtol=1e-6)


def test_nan_propagates() -> None:
    best, _ = first_maximum(jnp.array([jnp.nan, 1.0, 2.0, 3.0]).reshape(1, 1, 4, 1))
    assert np.isnan(best[0, 0, :, 0]).tolist() == [True, False]
