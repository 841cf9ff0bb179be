from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import FLOAT64_FORWARD
from torch_ported import ported, relative_error, to_leaves, train_copy
from torch_reference import require

from jaxnext.errors import UsageError
from jaxnext.models.heads import fc
from jaxnext.models.heads.fc import Head

KEYS = jax.random.split(jax.random.key(0), 40)
SMALL = Head(classes=5, widths=(64, 64))
X = jnp.asarray(np.random.default_rng(0).normal(size=(40, 1, 2, 6)), jnp.float32)


@pytest.fixture(scope="module")
def variables() -> dict[str, Any]:
    return SMALL.init(jax.random.key(1), X, train=False)


def train(variables: dict[str, Any], keys: Any, head: Head = SMALL) -> np.ndarray:
    return np.asarray(head.apply(variables, X, train=True, keys=keys, mutable=["batch_stats"])[0])


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
    variables = Head(classes=5, widths=()).init(jax.random.key(0), X, train=False)
    assert jax.tree.map(jnp.shape, variables) == {"params": {"output": {"kernel": (6, 5), "bias": (5,)}}}


@pytest.mark.parametrize(
    ("activation", "module"),
    [
        ("silu", "SiLU"),
        ("relu", "ReLU"),
        ("gelu", "GELU"),
        ("leaky_relu", "LeakyReLU"),
        ("elu", "ELU"),
        ("tanh", "Tanh"),
        ("identity", "Identity"),
    ],
)
def test_activations_are_pytorchs(activation: str, module: str) -> None:
    torch = pytest.importorskip("torch")
    values = np.linspace(-4, 4, 33, dtype=np.float32)
    expected = getattr(torch.nn, module)()(torch.from_numpy(values)).numpy()
    np.testing.assert_allclose(fc.ACTIVATIONS[activation](values), expected, rtol=1e-5, atol=1e-6)


def test_without_batch_norm() -> None:
    head = Head(classes=5, widths=(64,), batch_norm=False, activation="identity", dropout=0.0)
    variables = head.init(jax.random.key(0), X, train=False)
    assert sorted(variables["params"]) == ["hidden1", "output"]
    assert "batch_stats" not in variables
    expected = np.asarray(X).mean((1, 2))
    for layer in ("hidden1", "output"):
        kernel, bias = (np.asarray(variables["params"][layer][leaf]) for leaf in ("kernel", "bias"))
        expected = expected @ kernel + bias
    np.testing.assert_allclose(head.apply(variables, X, train=False), expected, atol=1e-6)


@pytest.mark.slow
def test_each_layer_drops_by_its_number_in_training(variables: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(fc, "dropout", lambda x, *args, **kwargs: calls.append((x.shape, args, kwargs)) or x)
    train(variables, KEYS)
    SMALL.apply(variables, X, train=False)
    assert [(shape, args, own["train"], own["layer"]) for shape, args, own in calls] == [
        ((40, 64), (0.3,), training, layer) for training in (True, False) for layer in (1, 2)
    ]
    assert [own["keys"] is KEYS for _, _, own in calls] == [True, True, False, False]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (8, 0)}, "model.head.widths: expected widths of at least 1, found [8, 0]"),
        ({"dropout": 1.0}, "model.head.dropout: expected a probability from 0 to below 1, found 1.0"),
        ({"dropout": -0.1}, "model.head.dropout: expected a probability from 0 to below 1, found -0.1"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        Head(5, **options).init(jax.random.key(0), X, train=False)
    assert str(error.value) == message


@pytest.mark.slow
def test_padded_rows_stay_out_of_the_statistics(variables: dict[str, Any]) -> None:
    mask = np.arange(40) < 30

    @jax.jit
    def run(x: jax.Array, keys: jax.Array, mask: Any = None) -> Any:
        return SMALL.apply(variables, x, train=True, mask=mask, keys=keys, mutable=["batch_stats"])

    padded, stats = run(X, KEYS, mask)
    alone, stats2 = run(X[:30], KEYS[:30])
    np.testing.assert_allclose(padded[:30], alone, atol=1e-5)
    for found, expected in zip(jax.tree.leaves(stats), jax.tree.leaves(stats2), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("training", [False, True])
def test_equals_pytorch(training: bool) -> None:
    torch, _ = require()
    net, classifier, variables = ported("fc")
    x = np.random.default_rng(0).normal(size=(8, 1, 1, 2048))
    net = train_copy(net) if training else net
    expected = net.fc(torch.from_numpy(x[:, 0, 0])).detach().numpy()
    own = {collection: leaves["head"] for collection, leaves in variables.items()}
    with jax.enable_x64(True):
        y, after = classifier.head.apply(own, jnp.asarray(x), train=training, mutable=["batch_stats"])
    assert relative_error(y, expected) <= FLOAT64_FORWARD
    stats = to_leaves(variables, net.state_dict())["batch_stats"]["head"]
    for name in ("norm1", "norm2"):
        for leaf in ("mean", "var", "num_batches_tracked"):
            assert relative_error(after["batch_stats"][name][leaf], stats[name][leaf]) <= FLOAT64_FORWARD
