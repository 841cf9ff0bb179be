"""Folded networks give the logits of the ones with batch norms, in every setting and precision."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quick_jit import quick_jit
from tolerances import FLOAT32_LOGITS, FLOAT64_FORWARD
from torch_ported import relative_error
from torch_reference import SETTINGS

from jaxnext.config.sections import ModelConfig
from jaxnext.errors import JaxnextError
from jaxnext.models import classifier as classifier_module
from jaxnext.models import heads
from jaxnext.models.classifier import Classifier, build
from jaxnext.models.folding import fold
from jaxnext.models.layers import Dense
from jaxnext.models.norm import BatchNorm
from jaxnext.models.summary import variable_shapes
from jaxnext.tree import flatten, path_name, unflatten

TINY = {
    "stage_sizes": (1, 2),
    "widths": (4, 8),
    "features": (8, 16),
    "stem_features": 4,
    "groups": 2,
    "reduction": 2,
    "head_widths": (6, 5),
}
CLASSES = 5
IMAGES = np.random.default_rng(1).normal(size=(4, 32, 32, 3))


def config_of(setting: str) -> ModelConfig:
    return ModelConfig(**TINY, **SETTINGS[setting])


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


def logits_of(config: ModelConfig, precision: Any) -> tuple[Any, Any]:
    """Logits without and with folding; the unfolded variables have to be as they were."""
    plain, folded = (build(config, CLASSES, precision, folded=value) for value in (False, True))
    variables = random_variables(plain)
    before = jax.tree.map(np.copy, variables)
    less = fold(variables, folded)
    jax.tree.map(np.testing.assert_array_equal, variables, before)

    def both(variables: Any, less: Any, images: Any) -> Any:
        return plain.apply(variables, images, train=False), folded.apply(less, images, train=False)

    return quick_jit(both)(variables, less, IMAGES.astype(precision))


@pytest.mark.parametrize("setting", SETTINGS)
def test_logits_in_double(setting: str) -> None:
    with jax.enable_x64(True):
        plain, folded = logits_of(config_of(setting), "float64")
    assert folded.dtype == np.float64
    assert relative_error(folded, plain) <= FLOAT64_FORWARD


@pytest.mark.parametrize("setting", SETTINGS)
def test_logits_in_single(setting: str) -> None:
    with jax.default_matmul_precision("highest"):
        plain, folded = logits_of(config_of(setting), "float32")
    assert folded.dtype == np.float32
    assert relative_error(folded, plain) <= FLOAT32_LOGITS


def test_logits_in_bfloat16() -> None:
    plain, folded = logits_of(config_of("fc_cbam"), "bfloat16")
    assert folded.dtype == np.float32
    assert relative_error(folded, plain) <= 0.05


def test_by_hand() -> None:
    """scale / sqrt(var + eps) is 2 / 4, 0 / 1 and -3 / sqrt(1e-5)."""
    head = {
        "hidden1": {"kernel": np.array([[1.0, 2.0, 3.0]]), "bias": np.array([4.0, 5.0, 6.0])},
        "norm1": {"scale": np.array([2.0, 0.0, -3.0]), "bias": np.array([1.0, 1.0, 1.0])},
        "output": {"kernel": np.ones((3, 2)), "bias": np.array([8.0, 9.0])},
    }
    stats = {"mean": np.array([10.0, 20.0, 30.0]), "var": np.array([16 - 1e-5, 1.0, 0.0]), "num_batches_tracked": 1}
    config = ModelConfig(**(TINY | {"head_widths": (3,), "stage_sizes": (1, 1)}), head="fc")
    with jax.enable_x64(True):
        variables = random_variables(build(config, 2, "float64"))
        variables["params"]["head"] = head
        variables["batch_stats"]["head"]["norm1"] = stats
        found = fold(variables, build(config, 2, "float64", folded=True))
    root = 3 / np.sqrt(1e-5)
    expected = {
        "hidden1": {"kernel": [[0.5, 0, -3 * root]], "bias": [2, 0, -6 * root]},
        "norm1": {"bias": [1 - 10 * 0.5, 1, 1 + 30 * root]},
        "output": {"kernel": np.ones((3, 2)), "bias": [8, 9]},
    }
    assert jax.tree.structure(found["params"]["head"]) == jax.tree.structure(
        jax.tree.map(np.asarray, expected, is_leaf=lambda leaf: isinstance(leaf, list))
    )
    for path, leaf in flatten(found["params"]["head"]).items():
        right = flatten(expected)[path]
        np.testing.assert_allclose(leaf, right, rtol=1e-14, err_msg=path_name(path))


def test_each_leaf_is_rounded_once() -> None:
    """float32 leaves are those of the float64 arithmetic on the same float32 numbers."""
    config = config_of("fc")
    variables = random_variables(build(config, CLASSES, "float32"))
    single = fold(variables, build(config, CLASSES, "float32", folded=True))
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: leaf.astype(np.float64), variables)
        double = fold(wide, build(config, CLASSES, "float64", folded=True))
    for (path, leaf), right in zip(flatten(single).items(), flatten(double).values(), strict=True):
        np.testing.assert_array_equal(leaf, right.astype(np.float32), err_msg=path_name(path), strict=True)


def test_leaves_that_are_left() -> None:
    config = config_of("fc_cbam")
    plain, folded = (build(config, CLASSES, "float32", folded=value) for value in (False, True))
    before, after = names(variable_shapes(plain)), names(variable_shapes(folded))
    assert after == {name for name in before if name.startswith("params/") and not name.endswith("/scale")}
    assert len(before) - len(after) == 4 * (1 + 4 + 4 + 3 + 2)
    assert names(fold(random_variables(plain), folded)) == after


def test_a_folded_network_is_only_for_inference_and_the_usual_eps() -> None:
    model = build(config_of("baseline"), CLASSES, "float32", folded=True)
    variables = fold(random_variables(build(config_of("baseline"), CLASSES, "float32")), model)
    with pytest.raises(ValueError, match=r"^folded: expected inference, found train=True"):
        jax.eval_shape(lambda: model.apply(variables, IMAGES, train=True, mutable=["batch_stats"]))
    with pytest.raises(ValueError, match=r"^folded: expected inference and eps 1e-05, found train=False, eps 0.001"):
        BatchNorm(eps=1e-3, folded=True).init(jax.random.key(0), jnp.zeros((1, 2)), train=False)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    model = build(config_of("baseline"), CLASSES, "float32", folded=True)
    variables = random_variables(build(config_of("baseline"), CLASSES, "float32"))
    variables["params"]["backbone"]["stage3_block1"]["conv2"]["kernel"][0, 0, 0, 1] = value
    variables["params"]["backbone"]["stem_norm"]["scale"][2] = value
    name = "params/backbone/stage3_block1/conv2/kernel"
    with pytest.raises(JaxnextError, match=f"^expected finite weights, found NaN or infinity in {name} and 1 more$"):
        fold(variables, model)


@pytest.mark.parametrize(
    ("dtype", "operations"),
    [("float32", {"broadcast_in_dim", "add"}), ("bfloat16", {"convert_element_type", "broadcast_in_dim", "add"})],
)
def test_an_addition_is_left(dtype: str, operations: set[str]) -> None:
    """In the dtype of what comes in: XLA fuses it with the convolution only then."""
    norm = BatchNorm(folded=True)
    x = jnp.ones((1, 2, 2, 3), dtype)
    jaxpr = jax.make_jaxpr(lambda bias, x: norm.apply({"params": {"bias": bias}}, x, train=False))(jnp.ones(3), x)
    assert {equation.primitive.name for equation in jaxpr.eqns} == operations
    assert jaxpr.eqns[-1].primitive.name == "add"
    assert jaxpr.out_avals[0].dtype == dtype


# ---- other people's modules ----


class PlainHead(nn.Module):
    """A head of someone who has never heard of folding."""

    classes: int
    param_dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, mask: Any = None, keys: Any = None) -> jax.Array:
        x = Dense(6, param_dtype=self.param_dtype, name="hidden1")(x)
        x = nn.relu(BatchNorm(eps=0.1, param_dtype=self.param_dtype, name="norm1")(x, train=train, mask=mask))
        return Dense(self.classes, param_dtype=self.param_dtype, name="output")(x)


class NamedHead(nn.Module):
    """A head that folds, with layers of given names."""

    classes: int
    layer: str = "hidden1"
    norm: str = "norm1"
    bias: bool = True
    folded: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, mask: Any = None, keys: Any = None) -> jax.Array:
        x = Dense(6, use_bias=not (self.folded and not self.bias), name=self.layer)(x)
        x = nn.relu(BatchNorm(folded=self.folded, name=self.norm)(x, train=train, mask=mask))
        return Dense(self.classes, name="output")(x)


def with_head(monkeypatch: pytest.MonkeyPatch, kind: type[nn.Module], **options: Any) -> ModelConfig:
    lookup = classifier_module._lookup
    monkeypatch.setattr(
        classifier_module, "_lookup", lambda package, *rest: kind if package is heads else lookup(package, *rest)
    )
    return ModelConfig(**TINY, head="mine", head_options=options)


def test_a_head_without_the_field_keeps_its_norms(monkeypatch: pytest.MonkeyPatch) -> None:
    config = with_head(monkeypatch, PlainHead)
    plain, folded = (build(config, CLASSES, "float32", folded=value) for value in (False, True))
    variables = random_variables(plain)
    found = fold(variables, folded)
    assert names(found["batch_stats"]) == {f"head/norm1/{name}" for name in ("mean", "var", "num_batches_tracked")}
    for collection in ("params", "batch_stats"):
        jax.tree.map(np.testing.assert_array_equal, found[collection]["head"], variables[collection]["head"])
    assert not any(name.endswith("/scale") for name in names(found["params"]["backbone"]))
    with jax.enable_x64(True):
        plain, folded = logits_of(config, "float64")
    assert relative_error(folded, plain) <= FLOAT64_FORWARD


def test_a_head_with_the_field_is_folded_by_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    config = with_head(monkeypatch, NamedHead, layer="late_conv", norm="late_norm")
    with jax.default_matmul_precision("highest"):
        plain, folded = logits_of(config, "float32")
    assert relative_error(folded, plain) <= FLOAT32_LOGITS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"layer": "layer1"},
            "params/head/norm1/scale: expected params/head/conv1/kernel or params/head/hidden1/kernel before it, "
            "found neither",
        ),
        (
            {"norm": "batch"},
            "params/head/batch/scale: expected params/head/batch/kernel or params/head/batch/kernel before it, "
            "found neither",
        ),
        ({"bias": False}, "params/head/hidden1/bias: not in the folded network"),
    ],
)
def test_what_does_not_pair(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], message: str) -> None:
    config = with_head(monkeypatch, NamedHead, **options)
    variables = random_variables(build(config, CLASSES, "float32"))
    with pytest.raises(JaxnextError) as error:
        fold(variables, build(config, CLASSES, "float32", folded=True))
    assert str(error.value) == f"the batch norms cannot be folded into their layers:\n  {message}"


def test_two_layers_for_one_norm_and_leaves_that_are_not_there() -> None:
    config = config_of("fc")
    variables = random_variables(build(config, CLASSES, "float32"))
    variables["params"]["head"]["conv1"] = {"kernel": np.zeros((3, 6), np.float32)}
    variables["params"]["head"]["hidden2"]["kernel"] = np.zeros((6, 4), np.float32)
    del variables["batch_stats"]["backbone"]["stem_norm"]["var"]
    with pytest.raises(JaxnextError) as error:
        fold(variables, build(config, CLASSES, "float32", folded=True))
    assert str(error.value).splitlines()[1:] == [
        "  batch_stats/backbone/stem_norm/var: expected [4], found no such leaf",
        "  params/head/norm1/scale: expected params/head/conv1/kernel or params/head/hidden1/kernel before it, "
        "found both",
        "  params/head/norm2/scale: expected [4], found [5]",
        "  params/head/norm2/bias: expected [4], found [5]",
        "  batch_stats/head/norm2/mean: expected [4], found [5]",
        "  batch_stats/head/norm2/var: expected [4], found [5]",
    ]
