import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import FLOAT64_LOSS, FLOAT64_LOSS_GRADIENT, FLOAT64_LOSS_ZERO

from jaxnext.losses.cross_entropy import Loss as CrossEntropy
from jaxnext.losses.focal import Loss

# The probability of the first class is 3/4.
LOGITS, LABEL = jnp.array([[math.log(3), 0.0]]), jnp.array([0], jnp.int32)


@pytest.mark.parametrize(
    ("options", "loss"),
    [
        ({"gamma": 0.0}, math.log(4 / 3)),
        ({"gamma": 1.0}, math.log(4 / 3) / 4),
        ({}, math.log(4 / 3) / 16),
        ({"gamma": 0.5}, math.log(4 / 3) / 2),
        ({"weights": (8.0, 1.0)}, math.log(4 / 3) / 2),
    ],
)
def test_literal(options: dict[str, Any], loss: float) -> None:
    np.testing.assert_allclose(Loss(**options).terms(LOGITS, LABEL).losses, [loss], rtol=1e-6)


def test_probabilities_sum_the_classes_parts() -> None:
    found = Loss().terms(LOGITS, jnp.array([[0.5, 0.5]]))
    np.testing.assert_allclose(found.losses, [0.5 * math.log(4 / 3) / 16 + 0.5 * math.log(4) * 9 / 16], rtol=1e-6)
    assert found.weights is None


def test_gamma_0_is_cross_entropy() -> None:
    generator = np.random.default_rng(0)
    with jax.enable_x64(True):
        logits, labels = jnp.array(generator.standard_normal((8, 3))), jnp.array(generator.integers(0, 3, 8), jnp.int32)
        weights = (0.5, 2.0, 3.0)
        found = Loss(gamma=0.0, weights=weights).terms(logits, labels)
        expected = CrossEntropy(weights=weights).terms(logits, labels)
        np.testing.assert_array_equal(found.losses, expected.losses)
        np.testing.assert_array_equal(found.weights, np.array(weights)[np.asarray(labels)])


def test_equals_its_formula_in_torch() -> None:
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    logits, labels = 3 * generator.standard_normal((32, 7)), generator.integers(0, 7, 32)
    theirs = torch.tensor(logits, requires_grad=True)
    cross_entropy = torch.nn.functional.cross_entropy(theirs, torch.tensor(labels), reduction="none")
    expected = (1 - torch.exp(-cross_entropy)) ** 1.5 * cross_entropy
    expected.sum().backward()
    with jax.enable_x64(True):
        labels = jnp.array(labels, jnp.int32)

        def loss(logits: jax.Array) -> tuple[jax.Array, jax.Array]:
            losses = Loss(gamma=1.5).terms(logits, labels).losses
            return losses.sum(), losses

        gradient, found = jax.grad(loss, has_aux=True)(jnp.array(logits))
        np.testing.assert_allclose(found, expected.detach(), rtol=10 * FLOAT64_LOSS)
        np.testing.assert_allclose(gradient, theirs.grad, rtol=10 * FLOAT64_LOSS_GRADIENT, atol=FLOAT64_LOSS_ZERO)


def test_a_certain_label_has_no_loss_and_a_finite_gradient() -> None:
    logits = jnp.array([[1000.0, 0.0]])
    gradient = jax.grad(lambda x: Loss(gamma=0.5).terms(x, LABEL).losses.sum())(logits)
    np.testing.assert_array_equal(Loss(gamma=0.5).terms(logits, LABEL).losses, [0.0])
    np.testing.assert_array_equal(gradient, [[0.0, 0.0]])


@pytest.mark.parametrize("gamma", [-1.0, math.inf])
def test_refused(gamma: float) -> None:
    with pytest.raises(
        ValueError, match=f"^{re.escape(f'loss.gamma: expected a number of at least 0, found {gamma}')}$"
    ):
        Loss(gamma=gamma)
