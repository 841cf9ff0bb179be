import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import FLOAT64_LOSS, FLOAT64_LOSS_GRADIENT, FLOAT64_LOSS_ZERO

from jaxnext.losses import cross_entropy


@pytest.mark.parametrize(
    ("logits", "label", "loss"),
    [
        ([0.0, 0.0], 0, math.log(2)),
        ([0.0, 0.0, 0.0, 0.0], 3, math.log(4)),
        ([math.log(3), 0.0], 0, math.log(4 / 3)),
        ([math.log(3), 0.0], 1, math.log(4)),
        ([1000.0, 0.0], 0, 0.0),
        ([1000.0, 0.0], 1, 1000.0),
        ([-1e30, 1e30], 1, 0.0),
        ([7.0], 0, 0.0),
    ],
)
def test_literal(logits: list[float], label: int, loss: float) -> None:
    found = cross_entropy(jnp.array([logits]), jnp.array([label], jnp.int32))
    np.testing.assert_allclose(found, [loss], rtol=1e-6, atol=1e-6)


def test_one_loss_for_each_example() -> None:
    logits = jnp.array([[0.0, math.log(3)], [math.log(3), 0.0]])
    losses = cross_entropy(logits, jnp.array([1, 1], jnp.int32))
    np.testing.assert_allclose(losses, [math.log(4 / 3), math.log(4)], rtol=1e-6)


def test_dtype_is_that_of_the_logits() -> None:
    labels = jnp.zeros(2, jnp.int32)
    assert cross_entropy(jnp.zeros((2, 3), jnp.float32), labels).dtype == jnp.float32
    with jax.enable_x64(True):
        assert cross_entropy(jnp.zeros((2, 3), jnp.float64), labels).dtype == jnp.float64


def test_infinite_logits_are_not_hidden() -> None:
    assert np.isnan(cross_entropy(jnp.array([[math.inf, 0.0]]), jnp.zeros(1, jnp.int32))).all()
    assert np.isnan(cross_entropy(jnp.array([[math.nan, 0.0]]), jnp.ones(1, jnp.int32))).all()


rows = st.lists(st.floats(-50, 50), min_size=5, max_size=5)


@settings(deadline=None, max_examples=40)
@given(logits=rows, label=st.integers(0, 4), shift=st.floats(-100, 100))
def test_a_constant_added_to_the_logits_changes_nothing(logits: list[float], label: int, shift: float) -> None:
    with jax.enable_x64(True):
        one, other = cross_entropy(jnp.array([logits, np.add(logits, shift)]), jnp.array([label] * 2, jnp.int32))
        np.testing.assert_allclose(one, math.log(sum(math.exp(x - logits[label]) for x in logits)), atol=1e-12)
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)


def test_equals_torch() -> None:
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    logits, labels = 5 * generator.standard_normal((32, 7)), generator.integers(0, 7, 32)
    theirs = torch.tensor(logits, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(theirs, torch.tensor(labels), reduction="none")
    expected.sum().backward()
    with jax.enable_x64(True):
        ours = jnp.array(logits), jnp.array(labels, jnp.int32)
        np.testing.assert_allclose(cross_entropy(*ours), expected.detach(), rtol=FLOAT64_LOSS)
        gradient = jax.grad(lambda x: cross_entropy(x, ours[1]).sum())(ours[0])
        np.testing.assert_allclose(gradient, theirs.grad, rtol=FLOAT64_LOSS_GRADIENT, atol=FLOAT64_LOSS_ZERO)
