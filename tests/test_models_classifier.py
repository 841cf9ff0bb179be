from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flat_config import model_config

from jaxnext.config.sections import Precision
from jaxnext.engine.network import network
from jaxnext.models.classifier import Classifier
from jaxnext.models.summary import parameter_counts, variable_shapes
from jaxnext.tree import flatten, path_name

BACKBONE = {"stage_sizes": (1,), "widths": (4,), "features": (8,), "stem_features": 4, "groups": 2}


def small(precision: Precision = "float32") -> Classifier:
    return network(model_config("cbam", "fc", reduction=2, head_widths=(6,), **BACKBONE), 5, precision)


# ---- sizes ----


@pytest.mark.parametrize(
    ("attention", "head", "backbone", "classes", "total"),
    [
        ("none", "linear", {}, 100, 23_184_804),
        ("none", "fc", {}, 100, 25_657_252),
        ("cbam", "linear", {}, 100, 23_709_190),
        ("cbam", "fc", {}, 100, 26_181_638),
        # ResNeXt-101 32x8d and ResNet-50
        ("none", "linear", {"stage_sizes": (3, 4, 23, 3), "widths": (256, 512, 1024, 2048)}, 1000, 88_791_336),
        ("none", "linear", {"widths": (64, 128, 256, 512), "groups": 1}, 1000, 25_557_032),
    ],
)
def test_number_of_parameters(attention: str, head: str, backbone: dict[str, Any], classes: int, total: int) -> None:
    params = variable_shapes(network(model_config(attention, head, **backbone), classes, "float32"))["params"]
    assert sum(parameter_counts(params).values()) == total


# ---- what reaches the modules ----


@pytest.mark.parametrize(
    ("precision", "compute", "kept"),
    [
        ("float32", "float32", "float32"),
        ("bfloat16", "bfloat16", "float32"),
        ("float64", "float64", "float64"),
    ],
)
def test_dtypes(precision: Any, compute: str, kept: str) -> None:
    with jax.enable_x64(True):
        model = small(precision)
        variables = variable_shapes(model)
        stored = {path: leaf.dtype.name for path, leaf in flatten(variables).items()}
        assert {name for path, name in stored.items() if path[-1] != "num_batches_tracked"} == {kept}

        def run(variables: Any, images: Any) -> Any:
            return model.apply(variables, images, train=True, mutable=["batch_stats", "intermediates"])

        logits, updated = jax.eval_shape(run, variables, jax.ShapeDtypeStruct((4, 32, 32, 3), jnp.float32))
    assert (logits.shape, logits.dtype) == ((4, 5), kept)  # bfloat16 gives float32 logits
    sown = {path_name(path): value[0].dtype.name for path, value in flatten(updated["intermediates"]).items()}
    assert sown == dict.fromkeys(
        [
            "backbone/stem",
            "backbone/stage2",
            "attention/channel_map",
            "attention/spatial_map",
            "attention_output",
            "head_input",
            "head/activation1",
        ],
        compute,
    )
    updated_stats = {path: leaf.dtype.name for path, leaf in flatten({"batch_stats": updated["batch_stats"]}).items()}
    assert updated_stats == {path: name for path, name in stored.items() if path[0] == "batch_stats"}


@pytest.mark.slow
def test_mask_and_keys_reach_every_part() -> None:
    """What padded rows hold changes neither the other rows' logits nor any statistic; other keys drop other units."""
    rng = np.random.default_rng(0)
    images, other = rng.normal(size=(2, 6, 16, 16, 3)).astype(np.float32)
    other[:4] = images[:4]
    mask = np.array([True, True, True, True, False, False])
    keys = jax.random.split(jax.random.key(1), 6)
    model = small()
    variables = jax.tree.map(lambda leaf: jnp.asarray(rng.random(leaf.shape), leaf.dtype), variable_shapes(model))

    @jax.jit
    def run(images: Any, mask: Any, keys: Any) -> Any:
        return model.apply(variables, images, train=True, mask=mask, keys=keys, mutable=["batch_stats"])

    first, second, unmasked = run(images, mask, keys), run(other, mask, keys), run(other, mask | True, keys)
    np.testing.assert_array_equal(first[0][:4], second[0][:4])
    assert np.abs(first[0] - run(images, mask, keys[::-1])[0]).max() > 0.01
    stats = (flatten(result[1]) for result in (first, second, unmasked))
    for (path, leaf), same, different in zip(next(stats).items(), *(other.values() for other in stats), strict=True):
        np.testing.assert_array_equal(leaf, same)
        assert path[-1] == "num_batches_tracked" or not np.array_equal(leaf, different), path


class Recording(nn.Module):
    """An attention or head that keeps what it is given."""

    note: Callable[[Any], None]

    def __call__(self, x: jax.Array, **arguments: Any) -> jax.Array:
        self.note(arguments)
        return x


def test_attention_and_head_are_given_the_same_but_for_keys_of_their_own() -> None:
    first, second = [], []
    model = small().clone(attention=Recording(first.append), head=Recording(second.append))
    mask, keys = jnp.ones(2, bool), jax.random.split(jax.random.key(1), 2)
    images = jax.ShapeDtypeStruct((2, 16, 16, 3), jnp.float32)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images)
    assert first == second == [{"train": False, "mask": None, "keys": None}]
    arguments = {"train": True, "mask": mask, "keys": keys}
    jax.eval_shape(lambda own, x: model.apply(own, x, **arguments, mutable=["batch_stats"]), variables, images)
    assert all(given["train"] and given["mask"] is mask for given in (first[1], second[1]))
    assert second[1]["keys"] is keys
    own = first[1]["keys"]
    assert (own.shape, own.dtype) == (keys.shape, keys.dtype)
    assert own is not keys
