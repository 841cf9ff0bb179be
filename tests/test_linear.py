import jax
import jax.numpy as jnp
import pytest

from jaxnext.models.heads.linear import Head


def test_pool_and_one_layer_by_hand() -> None:
    params = {"output": {"kernel": jnp.array([[1.0, 2.0], [10.0, 20.0]]), "bias": jnp.array([0.5, -0.5])}}
    x = jnp.array([[[[1.0, 1.0]], [[1.0, 1.0]]], [[[0.0, 1.0]], [[0.0, 3.0]]]])
    y = Head(2).apply({"params": params}, x, train=False)
    assert y.tolist() == [[11.5, 21.5], [20.5, 39.5]]


def test_its_only_parameters_are_those_of_the_layer() -> None:
    variables = Head(5).init(jax.random.key(0), jnp.zeros((1, 2, 2, 3)), train=False)
    assert jax.tree.map(jnp.shape, variables) == {"params": {"output": {"kernel": (3, 5), "bias": (5,)}}}


def test_training_mask_and_keys_change_nothing() -> None:
    x = jnp.arange(6.0).reshape(2, 1, 1, 3)
    variables = Head(4).init(jax.random.key(0), x, train=False)
    keys = jax.random.split(jax.random.key(1), 2)
    y = Head(4).apply(variables, x, train=True, mask=jnp.array([True, False]), keys=keys)
    assert y.tolist() == Head(4).apply(variables, x, train=False).tolist()


def test_logits_of_bfloat16_features_are_not_rounded_to_bfloat16() -> None:
    params = {"output": {"kernel": jnp.array([[1.0, 1.0]]), "bias": jnp.array([0.001, 0.002])}}
    y = Head(2).apply({"params": params}, jnp.full((1, 1, 1, 1), 256.0, jnp.bfloat16), train=False)
    assert y.dtype == jnp.float32
    assert (y[0, 1] - y[0, 0]).round(5).tolist() == pytest.approx(0.00101, abs=2e-5)
