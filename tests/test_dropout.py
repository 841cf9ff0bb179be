import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnext.models.dropout import dropout

KEYS = jax.random.split(jax.random.key(0), 40)


def drop(x: jax.Array, keys: jax.Array = KEYS, probability: float = 0.3, layer: int = 1) -> jax.Array:
    return dropout(x, probability, train=True, keys=keys, layer=layer)


@pytest.mark.parametrize("probability", [0.3, 0.75])
def test_it_zeroes_its_share_and_scales_the_rest(probability: float) -> None:
    x = jnp.full((40, 2500), 3.0)
    y = drop(x, probability=probability)
    assert (y.shape, y.dtype) == (x.shape, x.dtype)
    np.testing.assert_allclose(np.unique(y), [0, 3 / (1 - probability)], rtol=1e-6)
    # 100,000 draws: five standard deviations are 0.0072 and 0.0068.
    assert abs((y == 0).mean() - probability) < 0.0073
    assert abs(y.mean() - 3) < 0.1


def test_a_row_is_dropped_by_its_key_alone() -> None:
    x = jnp.ones((40, 10, 10))
    y = drop(x)
    np.testing.assert_array_equal(drop(x[7:12], KEYS[7:12]), y[7:12])
    np.testing.assert_array_equal(drop(x, KEYS[::-1]), y[::-1])
    assert len(np.unique(y, axis=0)) == 40


def test_the_mask_is_drawn_from_the_key_with_the_layers_number_folded_in() -> None:
    """Each layer drops other values: independent ones differ in 2 x 0.3 x 0.7 of the places."""
    x = jnp.ones((40, 100))
    key = jax.random.fold_in(KEYS[5], 2)
    np.testing.assert_array_equal(drop(x, layer=2)[5] == 0, jax.random.uniform(key, (100,)) < 0.3)
    assert 0.36 < ((drop(x) == 0) != (drop(x, layer=2) == 0)).mean() < 0.48


def test_every_precision_drops_the_same_units() -> None:
    with jax.enable_x64(True):
        kept = [drop(jnp.ones((40, 100), dtype)) for dtype in ("bfloat16", "float32", "float64")]
        assert [y.dtype.name for y in kept] == ["bfloat16", "float32", "float64"]
        np.testing.assert_array_equal(kept[0] == 0, kept[1] == 0)
        np.testing.assert_array_equal(kept[2] == 0, kept[1] == 0)


def test_the_gradient_flows_through_what_is_kept() -> None:
    x = jnp.ones((40, 100))
    gradient = jax.grad(lambda x: drop(x, probability=0.5).sum())(x)
    np.testing.assert_array_equal(gradient, drop(x, probability=0.5))


def test_it_needs_training_keys_and_a_probability() -> None:
    x = jnp.ones((40, 3))
    assert dropout(x, 0.3, train=False, keys=KEYS, layer=1) is x
    assert dropout(x, 0.3, train=True, keys=None, layer=1) is x
    assert dropout(x, 0.0, train=True, keys=KEYS, layer=1) is x
