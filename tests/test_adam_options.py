import jax
import jax.numpy as jnp
import pytest

from jaxnext.engine.adam_options import AdamOptions


def test_the_first_direction_has_size_one_and_the_gradients_sign() -> None:
    adam = AdamOptions(eps=1e-12).adam()
    gradients = jnp.array([0.5, -3.0, 0.0])
    directions, _ = adam.update(gradients, adam.init(gradients))
    assert jnp.allclose(directions, jnp.array([1.0, -1.0, 0.0]), atol=1e-6)


def test_the_state_holds_moments_and_count_only() -> None:
    state = AdamOptions(weight_decay=0.1).adam().init({"a": jnp.zeros((2, 3)), "b": jnp.zeros(4)})
    assert [leaf.shape for leaf in jax.tree.leaves(state)] == [(), (2, 3), (4,), (2, 3), (4,)]


@pytest.mark.parametrize(
    ("name", "value"), [("learning_rate", 0.0), ("weight_decay", -1.0), ("beta1", 1.0), ("beta2", -0.1), ("eps", 0.0)]
)
def test_numbers_that_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^optimizer.{name}: expected a number .*, found {value}$"):
        AdamOptions(**{name: value})
