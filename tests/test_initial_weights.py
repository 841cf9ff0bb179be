import functools
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from flat_config import model_config

from jaxnext.config.sections import Config, ModelConfig, Precision
from jaxnext.engine.checkpoint import Checkpoints, Meta
from jaxnext.engine.network import network
from jaxnext.errors import JaxnextError
from jaxnext.models.classifier import Classifier
from jaxnext.models.initialisation import initialise
from jaxnext.models.summary import variable_shapes
from jaxnext.training.initial_weights import complete, load_weights
from jaxnext.tree import flatten, path_name

TINY = {"stage_sizes": (1,), "widths": (4,), "features": (8,), "stem_features": 4, "groups": 2, "head_widths": (6, 5)}
CLASSES = ("0", "1", "10")
TRAINED = ("backbone", "attention", "head")


def model_of(precision: Precision = "float32", **fields: Any) -> Classifier:
    return network(model_config(**(TINY | fields)), len(CLASSES), precision)


@functools.cache
def shapes_of(**fields: Any) -> dict[str, Any]:
    return variable_shapes(model_of(**fields))


def filled(seed: int, dtype: str = "float32", **fields: Any) -> dict[str, Any]:
    """Variables of a model with random values, another for each seed."""
    generator = np.random.default_rng(seed)

    def fill(leaf: Any) -> np.ndarray:
        if leaf.dtype == np.int32:
            return np.array(100 + seed, np.int32)
        return generator.standard_normal(leaf.shape).astype(dtype)

    return jax.tree.map(fill, dict(shapes_of(**fields)))


def save(
    folder: Path, variables: dict[str, Any], trained: tuple[str, ...], classes: tuple[str, ...] | None = CLASSES
) -> None:
    with Checkpoints(folder) as checkpoints:
        checkpoints.save_model("best", 1, variables, Meta(Config(), classes, trained, 1, 0.5))


def taken(loaded: dict[str, Any], source: dict[str, Any]) -> set[str]:
    """Parts whose every leaf is the source's."""
    ours, theirs = flatten(loaded), flatten(source)
    other = {path[1] for path, leaf in ours.items() if path not in theirs or not np.array_equal(leaf, theirs[path])}
    return {path[1] for path in ours} - other


# Parts that are fresh


def test_weights_made_for_another_normalisation(tmp_path: Path) -> None:
    save(tmp_path, filled(1), ("backbone", "attention", "head"))
    assert not any("warning" in line for line in load_weights(tmp_path, filled(2), CLASSES, net=ModelConfig())[1])
    lines = load_weights(tmp_path, filled(2), CLASSES, net=ModelConfig(mean=(0.5, 0.5, 0.5)))[1]
    assert lines[-1] == (
        f"warning: the weights of {tmp_path} were made for images normalised by model.mean [0.485, 0.456, 0.406] and "
        "model.std [0.229, 0.224, 0.225], which are others here"
    )


@pytest.mark.slow
def test_complete_initialises_the_parts_that_are_shapes(tmp_path: Path) -> None:
    fields = {"attention": "cbam", "reduction": 2, "head": "fc"}
    save(tmp_path, filled(1), ("backbone",), None)
    loaded, _ = load_weights(tmp_path, shapes_of(**fields), CLASSES)
    completed = flatten(complete(model_of(**fields), loaded, 3))
    expected = flatten(initialise(model_of(**fields), 3)) | {
        path: leaf for path, leaf in flatten(filled(1)).items() if path[1] == "backbone"
    }
    assert completed.keys() == expected.keys()
    for path, leaf in completed.items():
        np.testing.assert_array_equal(leaf, expected[path], err_msg=path_name(path))


def test_complete_leaves_what_is_there() -> None:
    variables = filled(1)
    assert complete(model_of(), variables, 3) is variables


# Weights that are loaded over it


def test_a_backbone_only_checkpoint(tmp_path: Path) -> None:
    save(tmp_path, filled(1), ("backbone",), None)
    fields = {"attention": "cbam", "reduction": 2, "head": "fc"}
    fresh = filled(2, **fields)
    variables, lines = load_weights(tmp_path, fresh, CLASSES)
    assert lines == [
        f"backbone: from {tmp_path}",
        "attention: newly initialised (the checkpoint has none that is trained)",
        "head: newly initialised (the checkpoint has none that is trained)",
    ]
    assert taken(variables, filled(1)) == {"backbone"}
    assert taken(variables, fresh) == {"attention", "head"}
    assert variables["batch_stats"]["backbone"]["stem_norm"]["num_batches_tracked"] == 101
    assert taken(fresh, filled(2, **fields)) == {"backbone", "attention", "head"}, "the fresh ones were changed"


def test_a_part_that_is_not_there_has_no_line(tmp_path: Path) -> None:
    save(tmp_path, filled(1), ("backbone",), None)
    _, lines = load_weights(tmp_path, filled(2), CLASSES)
    assert [line.partition(":")[0] for line in lines] == ["backbone", "head"]


def test_the_same_classes(tmp_path: Path) -> None:
    fields = {"attention": "cbam", "reduction": 2, "head": "fc"}
    save(tmp_path, filled(1, **fields), TRAINED)
    variables, lines = load_weights(tmp_path, filled(2, **fields), CLASSES)
    assert lines == [f"{part}: from {tmp_path}" for part in TRAINED]
    assert taken(variables, filled(1, **fields)) == set(TRAINED)


@pytest.mark.parametrize("classes", [("0", "10", "1"), ("0", "1"), ("0", "1", "2")])
def test_other_classes_or_another_order(tmp_path: Path, classes: tuple[str, ...]) -> None:
    save(tmp_path, filled(1), ("backbone", "head"))
    variables, lines = load_weights(tmp_path, filled(2), classes)
    assert lines == [
        f"backbone: from {tmp_path}",
        "head: newly initialised (its classes are not those of the data)",
    ]
    assert taken(variables, filled(2)) == {"head"}


@pytest.mark.parametrize(
    ("ported", "built"),
    [
        ({"head": "linear"}, {"head": "fc"}),
        ({"head": "fc"}, {"head": "linear"}),
        ({"head": "fc"}, {"head": "fc", "head_widths": (7, 5)}),
        ({"head": "fc"}, {"head": "fc", "head_widths": (6,)}),
    ],
)
def test_another_head(tmp_path: Path, ported: dict[str, Any], built: dict[str, Any]) -> None:
    save(tmp_path, filled(1, **ported), ("backbone", "head"))
    variables, lines = load_weights(tmp_path, filled(2, **built), CLASSES)
    assert lines == [
        f"backbone: from {tmp_path}",
        "head: newly initialised (its layers are not those of this network)",
    ]
    assert taken(variables, filled(2, **built)) == {"head"}
    assert taken(variables, filled(1, **ported)) == {"backbone"}


def test_precision_is_that_of_the_network(tmp_path: Path) -> None:
    save(tmp_path, filled(1), ("backbone", "head"))
    variables, _ = load_weights(tmp_path, filled(2, "float64"), CLASSES)
    for path, leaf in flatten(variables).items():
        assert leaf.dtype == (np.int32 if path[-1] == "num_batches_tracked" else np.float64)
        np.testing.assert_array_equal(leaf, flatten(filled(1))[path])


# Errors


@pytest.mark.parametrize(
    ("net", "words"),
    [
        ({}, "imagenet1k_v2 --config baseline"),
        ({"attention": "cbam", "head": "fc"}, "imagenet1k_v2 --config baseline"),
        ({"block_attention": {"type": "se"}}, "seresnext50_32x4d.racm_in1k --config seresnext50_32x4d"),
        ({"stem_features": 32}, "SOURCE --config CONFIG"),
    ],
)
def test_no_checkpoint_gives_the_command(net: dict[str, Any], words: str, tmp_path: Path) -> None:
    folder = tmp_path / "weights" / "imagenet1k_v2"
    expected = (
        f"model.weights: {folder} holds no checkpoint; make it with: "
        f"jaxnext port {words} --output {folder}, "
        "or start from scratch with --model.weights null"
    )
    with pytest.raises(JaxnextError, match=f"^{re.escape(expected)}$"):
        load_weights(folder, filled(2), CLASSES, net=model_config(**net))
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_a_best(tmp_path: Path) -> None:
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_model("every", 1, filled(1), Meta(Config(), CLASSES, ("backbone", "head")))
    expected = f"{tmp_path}: expected a checkpoint 'best', found none; it has: every"
    with pytest.raises(JaxnextError, match=f"^{re.escape(expected)}$"):
        load_weights(tmp_path, filled(2), CLASSES)


def test_attention_of_another_reduction_lists_each_leaf(tmp_path: Path) -> None:
    save(tmp_path, filled(1, attention="cbam", reduction=2), TRAINED)
    with pytest.raises(JaxnextError) as caught:
        load_weights(tmp_path, filled(2, attention="cbam", reduction=4), CLASSES)
    assert str(caught.value).splitlines() == [
        f"{tmp_path}: the weights do not fit this network:",
        "  params/attention/channel/hidden/kernel: expected [8, 2], found [8, 4]",
        "  params/attention/channel/output/kernel: expected [2, 8], found [4, 8]",
    ]


def test_trained_attention_is_not_dropped(tmp_path: Path) -> None:
    save(tmp_path, filled(1, attention="cbam", reduction=2), TRAINED)
    with pytest.raises(JaxnextError) as caught:
        load_weights(tmp_path, filled(2), CLASSES)
    assert str(caught.value).splitlines() == [
        f"{tmp_path}: the weights do not fit this network:",
        "  params/attention/channel/hidden/kernel: expected no such leaf, found [8, 4]",
        "  params/attention/channel/output/kernel: expected no such leaf, found [4, 8]",
        "  params/attention/spatial_conv/kernel: expected no such leaf, found [7, 7, 2, 1]",
    ]


def test_attention_that_is_not_trained_is_dropped(tmp_path: Path) -> None:
    save(tmp_path, filled(1, attention="cbam", reduction=2), ("backbone", "head"))
    _, lines = load_weights(tmp_path, filled(2), CLASSES)
    assert lines == [f"backbone: from {tmp_path}", f"head: from {tmp_path}"]


def test_mismatches_of_all_parts_are_listed_at_once(tmp_path: Path) -> None:
    save(tmp_path, filled(1, attention="cbam", reduction=2), TRAINED)
    with pytest.raises(JaxnextError) as caught:
        load_weights(tmp_path, filled(2, attention="cbam", reduction=4, stem_features=6, stage_sizes=(1,)), CLASSES)
    assert str(caught.value).splitlines()[1:] == [
        "  batch_stats/backbone/stem_norm/mean: expected [6], found [4]",
        "  batch_stats/backbone/stem_norm/var: expected [6], found [4]",
        "  params/backbone/stage2_block1/conv1/kernel: expected [1, 1, 6, 4], found [1, 1, 4, 4]",
        "  params/backbone/stage2_block1/shortcut_conv/kernel: expected [1, 1, 6, 8], found [1, 1, 4, 8]",
        "  params/backbone/stem_conv/kernel: expected [7, 7, 3, 6], found [7, 7, 3, 4]",
        "  params/backbone/stem_norm/bias: expected [6], found [4]",
        "  params/backbone/stem_norm/scale: expected [6], found [4]",
        "  params/attention/channel/hidden/kernel: expected [8, 2], found [8, 4]",
        "  params/attention/channel/output/kernel: expected [2, 8], found [4, 8]",
    ]


def test_a_leaf_missing_in_the_checkpoint(tmp_path: Path) -> None:
    variables = filled(1)
    del variables["params"]["backbone"]["stem_norm"]["bias"]
    save(tmp_path, variables, ("backbone",), None)
    expected = (
        f"{tmp_path}: the weights do not fit this network:\n"
        "  params/backbone/stem_norm/bias: expected [4], found no such leaf"
    )
    with pytest.raises(JaxnextError, match=f"^{re.escape(expected)}$"):
        load_weights(tmp_path, filled(2), CLASSES)
