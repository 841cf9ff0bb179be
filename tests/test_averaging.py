import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnext.engine import averaging, parallel

FIRST, SECOND = np.log([[0.5, 0.3, 0.2]]), np.log([[0.1, 0.1, 0.8]])


@pytest.mark.parametrize(
    ("weights", "expected"),
    [(None, [0.3, 0.2, 0.5]), ([3, 1], [0.4, 0.25, 0.35]), ([0, 2], [0.1, 0.1, 0.8])],
)
def test_mean_of_probabilities(weights, expected: list[float]) -> None:
    found = averaging.mean_of_probabilities([jnp.asarray(FIRST), jnp.asarray(SECOND)], weights)
    np.testing.assert_allclose(np.exp(found), [expected], rtol=1e-6)


def test_mean_of_logits_whatever_was_taken_from_them() -> None:
    logits = [np.array([[2.0, 0.0, 1.0]]), np.array([[0.0, 4.0, -1.0]])]
    # Means 1, 2 and 0.
    expected = np.exp([1, 2, 0]) / np.exp([1, 2, 0]).sum()
    for shift in (0.0, 5.0):
        found = averaging.mean_of_logits([jnp.asarray(logits[0]), jnp.asarray(logits[1] + shift)])
        np.testing.assert_allclose(np.exp(found), [expected], rtol=1e-6)


def test_probabilities_too_small_for_their_type_keep_their_logarithm() -> None:
    answers = [jnp.asarray([[-300.0, 0.0]]), jnp.asarray([[-200.0, 0.0]])]
    found = averaging.mean_of_probabilities(answers)
    np.testing.assert_allclose(found, [[-200 - np.log(2), 0.0]], rtol=1e-6, atol=1e-6)
    sums = averaging.compile_sums(parallel.mesh_of(jax.devices()[:1]))(found, np.array([0]), np.array([True]))
    np.testing.assert_allclose(sums["loss"], 200 + np.log(2), rtol=1e-6)


def test_sums_over_devices() -> None:
    answers = np.log(np.float32([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.9, 0.05, 0.05]]))
    labels, mask = np.array([0, 2, 2, 1], np.int32), np.array([True, True, True, False])
    mesh = parallel.mesh_of(jax.devices()[:2])
    sums = averaging.compile_sums(mesh)(*parallel.split_batch((answers, labels, mask), mesh))
    np.testing.assert_allclose(sums["loss"], -np.log(0.5 * 0.1 * 0.8), rtol=1e-6)
    assert (int(sums["count"]), int(sums["correct"])) == (3, 2)
    assert sums["class_count"].tolist() == [1, 0, 2]
