"""Folded variables give the logits of the ones with batch norms, in every setting and precision."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flat_config import model_config
from tolerances import FLOAT32_LOGITS, FLOAT64_FORWARD
from torch_ported import relative_error
from torch_reference import NETS, SETTINGS

from jaxnext.config.sections import Precision
from jaxnext.engine.network import network
from jaxnext.errors import JaxnextError
from jaxnext.models.classifier import Classifier
from jaxnext.models.folding import fold, folded_shapes
from jaxnext.models.layers import Dense, global_average_pool
from jaxnext.models.norm import BatchNorm
from jaxnext.models.resnext import ResNeXt
from jaxnext.models.summary import variable_shapes
from jaxnext.tree import flatten, path_name, unflatten

BACKBONE = {"stage_sizes": (1, 2), "widths": (4, 8), "features": (8, 16), "stem_features": 4, "groups": 2}
CLASSES = 5
IMAGES = np.random.default_rng(1).normal(size=(4, 32, 32, 3))


def model_of(setting: str, precision: Precision = "float32") -> Classifier:
    names = BACKBONE | (SETTINGS | NETS)[setting]
    names = names | {name: BACKBONE[name] for name in ("widths", "features")}
    config = model_config(**names, reduction=2, head_widths=(6, 5))
    return network(config, CLASSES, precision)


def random_variables(model: Classifier) -> dict[str, Any]:
    """Each leaf different; of every norm one variance is 0, one scale 0 and about half of the scales negative."""
    rng = np.random.default_rng(0)
    leaves = {}
    for path, leaf in flatten(variable_shapes(model)).items():
        value = rng.normal(size=leaf.shape)
        if path[-1] == "kernel":
            value /= np.sqrt(np.prod(leaf.shape[:-1]))
        elif path[-1] == "var":
            value = np.abs(value)
            value[0] = 0
        elif path[-1] == "scale":
            # A variance of 0 multiplies by 316.
            value[0] /= 100
            value[1] = 0
        elif path[-1] == "num_batches_tracked":
            value = np.array(7)
        leaves[path] = value.astype(leaf.dtype)
    return unflatten(leaves)


def names(variables: Any) -> set[str]:
    return {path_name(path) for path in flatten(variables)}


def logits_of(model: Classifier, dtype: str) -> tuple[Any, Any]:
    """Logits without and with folding; the unfolded variables have to be as they were."""
    variables = random_variables(model)
    before = jax.tree.map(np.copy, variables)
    folded = fold(variables, model)
    jax.tree.map(np.testing.assert_array_equal, variables, before)
    like = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), folded)
    assert like == jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), folded_shapes(model))

    def both(variables: Any, folded: Any, images: Any) -> Any:
        return tuple(model.apply(own, images, train=False) for own in (variables, folded))

    return jax.jit(both)(variables, folded, IMAGES.astype(dtype))


@pytest.mark.parametrize("setting", [*SETTINGS, *NETS])
def test_logits_in_double(setting: str) -> None:
    with jax.enable_x64(True):
        plain, folded = logits_of(model_of(setting, "float64"), "float64")
    assert folded.dtype == np.float64
    assert relative_error(folded, plain) <= FLOAT64_FORWARD


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", FLOAT32_LOGITS), ("bfloat16", 0.05)])
def test_logits_in_lower_precision(precision: str, tolerance: float) -> None:
    with jax.default_matmul_precision("highest"):
        plain, folded = logits_of(model_of("fc_cbam", precision), precision)
    assert folded.dtype == np.float32
    assert relative_error(folded, plain) <= tolerance


def test_by_hand() -> None:
    """scale / sqrt(var + eps) is 2 / 4, 0 / 1 and -3 / sqrt(1e-5)."""
    head = {
        "hidden1": {"kernel": np.array([[1.0, 2.0, 3.0]] * 4), "bias": np.array([4.0, 5.0, 6.0])},
        "norm1": {"scale": np.array([2.0, 0.0, -3.0]), "bias": np.array([1.0, 1.0, 1.0])},
        "output": {"kernel": np.ones((3, 2)), "bias": np.array([8.0, 9.0])},
    }
    mean, var = np.array([10.0, 20.0, 30.0]), np.array([16 - 1e-5, 1.0, 0.0])
    small = {"stage_sizes": (1,), "widths": (4,), "features": (4,), "stem_features": 4, "groups": 2}
    with jax.enable_x64(True):
        model = network(model_config(head="fc", head_widths=(3,), **small), 2, "float64")
        variables = random_variables(model)
        variables["params"]["head"] = head
        variables["batch_stats"]["head"]["norm1"] = {"mean": mean, "var": var, "num_batches_tracked": np.array(1)}
        found = flatten(fold(variables, model)["params"]["head"])
    root = 3 / np.sqrt(1e-5)
    expected = {
        "hidden1": {"kernel": [[0.5, 0, -3 * root]] * 4, "bias": [2, 0, -6 * root]},
        "norm1": {"bias": [1 - 10 * 0.5, 1, 1 + 30 * root]},
        "output": {"kernel": np.ones((3, 2)), "bias": [8, 9]},
    }
    assert found.keys() == flatten(expected).keys()
    for path, right in flatten(expected).items():
        np.testing.assert_allclose(found[path], right, rtol=1e-14, err_msg=path_name(path))


def test_each_leaf_is_rounded_once() -> None:
    """float32 leaves are those of the float64 arithmetic on the same float32 numbers."""
    model = model_of("fc")
    variables = random_variables(model)
    single = fold(variables, model)
    double = fold(jax.tree.map(lambda leaf: leaf.astype(np.float64), variables), model)
    for (path, leaf), right in zip(flatten(single).items(), flatten(double).values(), strict=True):
        np.testing.assert_array_equal(leaf, right.astype(np.float32), err_msg=path_name(path), strict=True)


def test_leaves_that_are_left() -> None:
    model = model_of("fc_cbam")
    before, after = names(variable_shapes(model)), names(folded_shapes(model))
    assert after == {name for name in before if name.startswith("params/") and not name.endswith("/scale")}
    assert len(before) - len(after) == 4 * (1 + 4 + 4 + 3 + 2)


def test_folded_variables_are_only_for_inference() -> None:
    model = model_of("baseline")
    variables = fold(random_variables(model), model)
    with pytest.raises(ValueError, match=r"^train: expected False with variables whose batch norms are folded, found"):
        jax.eval_shape(lambda: model.apply(variables, IMAGES, train=True, mutable=["batch_stats"]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    model = model_of("baseline")
    variables = random_variables(model)
    variables["params"]["backbone"]["stage3_block1"]["conv2"]["kernel"][0, 0, 0, 1] = value
    variables["params"]["backbone"]["stem_norm"]["scale"][2] = value
    name = "params/backbone/stage3_block1/conv2/kernel"
    with pytest.raises(JaxnextError, match=f"^expected finite weights, found NaN or infinity in {name} and 1 more$"):
        fold(variables, model)


def test_leaves_that_are_not_those_of_the_network_are_named() -> None:
    model = model_of("fc")
    variables = random_variables(model)
    variables["params"]["head"]["conv1"] = {"kernel": np.zeros((3, 6), np.float32)}
    variables["params"]["head"]["hidden2"]["kernel"] = np.zeros((6, 4), np.float32)
    del variables["params"]["backbone"]["stem_norm"]["scale"]
    with pytest.raises(JaxnextError) as error:
        fold(variables, model)
    assert str(error.value).splitlines() == [
        "the weights do not fit this network:",
        "  params/backbone/stem_norm/scale: expected [4], found no such leaf",
        "  params/head/conv1/kernel: expected no such leaf, found [3, 6]",
        "  params/head/hidden2/kernel: expected [6, 5], found [6, 4]",
    ]


@pytest.mark.parametrize(
    ("dtype", "operations"),
    [("float32", {"broadcast_in_dim", "add"}), ("bfloat16", {"convert_element_type", "broadcast_in_dim", "add"})],
)
def test_an_addition_is_left(dtype: str, operations: set[str]) -> None:
    """In the dtype of what comes in: XLA fuses it with the convolution only then."""
    norm, x = BatchNorm(), jnp.ones((1, 2, 2, 3), dtype)
    jaxpr = jax.make_jaxpr(lambda bias, x: norm.apply({"params": {"bias": bias}}, x, train=False))(jnp.ones(3), x)
    assert {equation.primitive.name for equation in jaxpr.eqns} == operations
    assert jaxpr.eqns[-1].primitive.name == "add"
    assert jaxpr.out_avals[0].dtype == dtype


# ---- other people's modules ----


class AnyHead(nn.Module):
    """A head with a batch norm of another eps, behind or not behind a layer, whatever their names."""

    classes: int
    how: str
    param_dtype: jnp.dtype = jnp.dtype("float64")

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, mask: Any = None, keys: Any = None) -> jax.Array:
        layer = Dense(6, use_bias=self.how != "no bias", param_dtype=self.param_dtype, name="anything")
        norm = BatchNorm(eps=0.1, param_dtype=self.param_dtype, name="whatever")
        x = global_average_pool(x)
        if self.how in ("plain", "no bias"):
            x = norm(layer(x), train=train, mask=mask)
        elif self.how == "activation between":
            x = norm(nn.relu(layer(x)), train=train, mask=mask)
        elif self.how == "read twice":
            y = layer(x)
            x = norm(y, train=train, mask=mask) + y
        elif self.how == "layer called twice":
            x = norm(layer(x), train=train, mask=mask) + layer(-x)
        elif self.how == "norm called twice":
            x = norm(layer(x), train=train, mask=mask) + norm(x[:, :6], train=train, mask=mask)
        elif self.how == "no layer":
            x = norm(x, train=train, mask=mask)
        else:
            x = nn.jit(lambda self, x: norm(layer(x), train=train, mask=mask))(self, x)
        return Dense(self.classes, param_dtype=self.param_dtype, name="output")(nn.relu(x))


@pytest.mark.parametrize(
    ("how", "kept"),
    [
        ("plain", False),
        ("no bias", False),
        ("activation between", True),
        ("read twice", True),
        ("layer called twice", True),
        ("norm called twice", True),
        ("no layer", True),
        ("compiled apart", True),
    ],
)
def test_a_norm_is_folded_where_it_alone_reads_its_layer_and_else_predicts_as_it_is(how: str, kept: bool) -> None:
    with jax.enable_x64(True):
        backbone = ResNeXt((1,), (4,), (8,), 4, 2, param_dtype=jnp.dtype("float64"))
        model = Classifier(backbone, None, AnyHead(CLASSES, how), jnp.dtype("float64"))
        left = names(folded_shapes(model))
        plain, folded = logits_of(model, "float64")
    assert ("params/head/whatever/scale" in left) == ("batch_stats/head/whatever/mean" in left) == kept
    assert not any(name.endswith("/scale") for name in left if "backbone" in name)
    assert relative_error(folded, plain) <= FLOAT64_FORWARD
