from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quick_jit import quick_jit
from tolerances import FLOAT64_FORWARD
from torch_ported import ported, relative_error, to_leaves, train_copy
from torch_reference import require

from jaxnext.models.heads import fc
from jaxnext.models.heads.fc import Head, dropout

KEYS = jax.random.split(jax.random.key(0), 40)
SMALL = Head(classes=5, head_widths=(64, 64))
X = jnp.asarray(np.random.default_rng(0).normal(size=(40, 6)), jnp.float32)


@pytest.fixture(scope="module")
def variables() -> dict[str, Any]:
    return SMALL.init(jax.random.key(1), X, train=False)


def train(variables: dict[str, Any], keys: Any, head: Head = SMALL) -> np.ndarray:
    return np.asarray(head.apply(variables, X, train=True, keys=keys, mutable=["batch_stats"])[0])


# ---- dropout ----


@pytest.mark.parametrize("probability", [0.3, 0.75])
def test_dropout_zeroes_its_share_and_scales_the_rest(probability: float) -> None:
    x = jnp.full((40, 2500), 3.0)
    y = dropout(x, KEYS, probability)
    assert (y.shape, y.dtype) == (x.shape, x.dtype)
    np.testing.assert_allclose(np.unique(y), [0, 3 / (1 - probability)], rtol=1e-6)
    # 100,000 draws: five standard deviations are 0.0072 and 0.0068.
    assert abs((y == 0).mean() - probability) < 0.0073
    assert abs(y.mean() - 3) < 0.1


def test_a_row_is_dropped_by_its_key_alone() -> None:
    x = jnp.ones((40, 100))
    y = dropout(x, KEYS, 0.3)
    np.testing.assert_array_equal(dropout(x[7:12], KEYS[7:12], 0.3), y[7:12])
    np.testing.assert_array_equal(dropout(x, KEYS[::-1], 0.3), y[::-1])
    assert len(np.unique(y, axis=0)) == 40


def test_every_precision_drops_the_same_units() -> None:
    with jax.enable_x64(True):
        kept = [dropout(jnp.ones((40, 100), dtype), KEYS, 0.3) for dtype in ("bfloat16", "float32", "float64")]
        assert [y.dtype.name for y in kept] == ["bfloat16", "float32", "float64"]
        np.testing.assert_array_equal(kept[0] == 0, kept[1] == 0)
        np.testing.assert_array_equal(kept[2] == 0, kept[1] == 0)


def test_the_gradient_flows_through_what_is_kept() -> None:
    x = jnp.ones((40, 100))
    gradient = jax.grad(lambda x: dropout(x, KEYS, 0.5).sum())(x)
    np.testing.assert_array_equal(gradient, dropout(x, KEYS, 0.5))


# ---- head ----


def test_parameters_by_name_and_shape(variables: dict[str, Any]) -> None:
    assert jax.tree.map(jnp.shape, variables["params"]) == {
        "hidden1": {"kernel": (6, 64), "bias": (64,)},
        "norm1": {"scale": (64,), "bias": (64,)},
        "hidden2": {"kernel": (64, 64), "bias": (64,)},
        "norm2": {"scale": (64,), "bias": (64,)},
        "output": {"kernel": (64, 5), "bias": (5,)},
    }
    assert sorted(variables["batch_stats"]) == ["norm1", "norm2"]


def test_without_hidden_layers_it_is_linear() -> None:
    variables = Head(classes=5, head_widths=()).init(jax.random.key(0), X, train=False)
    assert jax.tree.map(jnp.shape, variables) == {"params": {"output": {"kernel": (6, 5), "bias": (5,)}}}


def test_each_layer_drops_other_units(variables: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    masks = []

    def record(x: jax.Array, keys: jax.Array, probability: float) -> jax.Array:
        masks.append(np.asarray(dropout(jnp.ones_like(x), keys, probability)) == 0)
        return x

    monkeypatch.setattr(fc, "dropout", record)
    train(variables, KEYS)
    assert [mask.shape for mask in masks] == [(40, 64), (40, 64)]
    assert abs(np.mean(masks) - 0.3) < 0.04
    assert 0.3 < np.mean(masks[0] != masks[1]) < 0.54  # independent: 2 x 0.3 x 0.7


def test_dropout_needs_training_keys_and_a_probability(variables: dict[str, Any]) -> None:
    plain = train(variables, None)
    assert np.abs(train(variables, KEYS) - plain).max() > 0.1
    np.testing.assert_array_equal(train(variables, KEYS, Head(5, (64, 64), dropout=0.0)), plain)
    evaluated = SMALL.apply(variables, X, train=False, keys=KEYS)
    np.testing.assert_array_equal(evaluated, SMALL.apply(variables, X, train=False))


def test_padded_rows_stay_out_of_the_statistics(variables: dict[str, Any]) -> None:
    mask = np.arange(40) < 30

    @quick_jit
    def run(x: jax.Array, keys: jax.Array, mask: Any = None) -> Any:
        return SMALL.apply(variables, x, train=True, mask=mask, keys=keys, mutable=["batch_stats"])

    padded, stats = run(X, KEYS, mask)
    alone, stats2 = run(X[:30], KEYS[:30])
    np.testing.assert_allclose(padded[:30], alone, atol=1e-5)
    for found, expected in zip(jax.tree.leaves(stats), jax.tree.leaves(stats2), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("training", [False, True])
def test_equals_pytorch(training: bool) -> None:
    torch, _ = require()
    net, classifier, variables = ported("fc")
    x = np.random.default_rng(0).normal(size=(8, 2048))
    net = train_copy(net) if training else net
    expected = net.fc(torch.from_numpy(x)).detach().numpy()
    own = {collection: leaves["head"] for collection, leaves in variables.items()}
    with jax.enable_x64(True):
        y, after = classifier.head.apply(own, jnp.asarray(x), train=training, mutable=["batch_stats"])
    assert relative_error(y, expected) <= FLOAT64_FORWARD
    stats = to_leaves(variables, net.state_dict())["batch_stats"]["head"]
    for name in ("norm1", "norm2"):
        for leaf in ("mean", "var", "num_batches_tracked"):
            assert relative_error(after["batch_stats"][name][leaf], stats[name][leaf]) <= FLOAT64_FORWARD
