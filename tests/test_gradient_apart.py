import jax
import jax.numpy as jnp

from jaxnext.ops.gradient_apart import gradient_apart


def test_it_is_the_identity_whose_gradient_is_fenced() -> None:
    x = jnp.array([1.0, 2.0])
    assert gradient_apart(x).tolist() == [1, 2]
    square = jax.grad(lambda x: (gradient_apart(x) ** 2).sum())
    assert square(x).tolist() == [2, 4]
    assert "optimization_barrier" in str(jax.make_jaxpr(square)(x))
