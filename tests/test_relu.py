import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnext.ops.relu import relu


def test_by_hand() -> None:
    found = relu(jnp.array([-2.0, -0.0, 0.0, 3.0, jnp.inf, -jnp.inf]))
    assert found.tolist() == [0, 0, 0, 3, float("inf"), 0]
    assert not np.signbit(found).any()


def test_nan_stays() -> None:
    assert np.isnan(relu(jnp.array([jnp.nan, 1.0]))).tolist() == [True, False]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_dtypes(dtype: str) -> None:
    with jax.enable_x64(True):
        assert relu(jnp.array([-1.5, 1.5], dtype)).dtype == dtype


def test_the_gradient_is_zero_at_zero_and_nan() -> None:
    x = jnp.array([-1.0, 0.0, 2.0, jnp.nan])
    assert jax.grad(lambda x: (relu(x) * jnp.array([1.0, 2.0, 3.0, 4.0])).sum())(x).tolist() == [0, 0, 3, 0]
    assert jax.grad(lambda x: jax.grad(lambda x: (relu(x) ** 2).sum())(x).sum())(x)[:3].tolist() == [0, 0, 2]


def test_no_maximum_is_computed() -> None:
    text = jax.jit(relu).lower(jnp.zeros(3)).as_text()
    assert "stablehlo.select" in text
    assert "stablehlo.maximum" not in text
