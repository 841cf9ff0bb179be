import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import FLOAT64_LOSS, FLOAT64_LOSS_GRADIENT, FLOAT64_LOSS_ZERO

from jaxnext.losses.cross_entropy import PLAIN, Loss, cross_entropy


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


WEIGHTS = (0.5, 2.0, 1.0, 4.0)


def mean(loss: Loss, logits: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean of a batch, and its gradient."""

    def value(x: jax.Array) -> jax.Array:
        terms = loss.terms(x, jnp.asarray(targets))
        return terms.losses.sum() / (len(logits) if terms.weights is None else terms.weights.sum())

    found, gradient = jax.value_and_grad(value)(jnp.asarray(logits))
    return float(found), np.asarray(gradient)


@pytest.mark.parametrize(
    ("options", "targets", "loss"),
    [
        # Of logits 0 the probabilities are 1/4 each; of the class 3 the part is log 4 times its weight.
        ({}, [3, 0], math.log(4)),
        ({"label_smoothing": 0.2}, [3, 0], math.log(4)),
        ({"weights": WEIGHTS}, [3, 0], math.log(4)),
        ({"weights": WEIGHTS}, [[0.0, 0, 0, 1], [1, 0, 0, 0]], math.log(4) * 4.5 / 2),
        ({"weights": WEIGHTS, "label_smoothing": 0.2}, [3, 0], math.log(4) * (0.8 * 4.5 + 0.05 * 2 * 7.5) / 4.5),
    ],
)
def test_literal_means(options: dict[str, Any], targets: Any, loss: float) -> None:
    kind = np.float32 if isinstance(targets[0], list) else np.int32
    found, _ = mean(Loss(**options), np.zeros((2, 4), np.float32), np.array(targets, kind))
    assert found == pytest.approx(loss, rel=1e-6)


def test_the_plain_loss_is_cross_entropy_without_weights() -> None:
    terms = PLAIN.terms(jnp.zeros((1, 4)), jnp.zeros(1, jnp.int32))
    assert terms.weights is None
    assert terms.losses.shape == (1,)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_means_equal_torch(soft: bool, weights: tuple[float, ...] | None, smoothing: float) -> None:
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(1)
    logits = 5 * generator.standard_normal((16, 4))
    targets = generator.dirichlet(np.ones(4), 16) if soft else generator.integers(0, 4, 16)
    theirs = torch.tensor(logits, requires_grad=True)
    weight = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    expected = torch.nn.functional.cross_entropy(theirs, torch.tensor(targets), weight, label_smoothing=smoothing)
    expected.backward()
    with jax.enable_x64(True):
        found, gradient = mean(Loss(label_smoothing=smoothing, weights=weights), logits, targets)
    assert found == pytest.approx(expected.item(), rel=FLOAT64_LOSS)
    np.testing.assert_allclose(gradient, theirs.grad, rtol=FLOAT64_LOSS_GRADIENT, atol=FLOAT64_LOSS_ZERO)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"label_smoothing": 1.0}, "loss.label_smoothing: expected a number from 0 to below 1, found 1.0"),
        ({"class_weights": (1.0, 0.0)}, "loss.class_weights: expected numbers above 0, found 0.0"),
        ({"class_weights": {"a": -1.0}}, "loss.class_weights: expected numbers above 0, found -1.0"),
        ({"class_weights": ()}, "loss.class_weights: expected a number for each class, found ()"),
    ],
)
def test_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        Loss(**options)
