"""Where a net looks, against the definitions written out in NumPy."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flat_config import model_config
from PIL import Image

import jaxnext
from jaxnext.engine.network import network
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.inference.ensemble import Ensemble
from jaxnext.inference.explain import PREDICTED, class_activation_map, class_numbers, has_spatial_map, maps, spatial_map
from jaxnext.models.classifier import Classifier
from jaxnext.models.summary import variable_shapes
from jaxnext.normalization import normalize
from jaxnext.types import Variables

SIZES = {"stage_sizes": (1,), "widths": (8,), "features": (12,), "stem_features": 8, "groups": 2, "reduction": 4}


@functools.cache
def tiny(precision: str = "float64", **fields: Any) -> tuple[Classifier, Variables]:
    """A net of one stage, five classes, random weights and statistics."""
    model = network(model_config(**SIZES, head_widths=(7, 6), **fields), 5, precision)
    random = np.random.default_rng(0)

    def leaf(path: Any, like: Any) -> Any:
        if path[-1].key in ("scale", "var"):
            return jnp.asarray(random.uniform(0.5, 1.5, like.shape), like.dtype)
        return jnp.asarray(random.normal(0, 0.4, like.shape), like.dtype)

    return model, jax.tree_util.tree_map_with_path(leaf, variable_shapes(model))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def logit_gradient(variables: Variables, pooled: np.ndarray, wanted: int) -> np.ndarray:
    """Of one logit with respect to the pooled vector of one image: the chain rule, layer after layer."""
    params = jax.tree.map(np.asarray, variables["params"]["head"])
    # What each hidden layer multiplies the gradient by, from the last to the first.
    factors = []
    for layer in range(1, sum(name.startswith("hidden") for name in params) + 1):
        norm, stats = params[f"norm{layer}"], variables["batch_stats"]["head"][f"norm{layer}"]
        factor = norm["scale"] / np.sqrt(np.asarray(stats["var"]) + 1e-5)
        dense = params[f"hidden{layer}"]
        x = (pooled @ dense["kernel"] + dense["bias"] - np.asarray(stats["mean"])) * factor + norm["bias"]
        pooled = x * sigmoid(x)
        slope = sigmoid(x) * (1 + x * (1 - sigmoid(x)))
        factors.insert(0, (dense["kernel"], slope * factor))
    gradient = params["output"]["kernel"][:, wanted]
    for kernel, factor in factors:
        gradient = kernel @ (gradient * factor)
    return gradient


@pytest.mark.parametrize("head", ["linear", "fc"])
def test_grad_cam_is_its_definition(head: str) -> None:
    with jax.enable_x64(True):
        model, variables = tiny(head=head)
        features = np.random.default_rng(1).normal(0.3, 1, (4, 3, 2, 12))
        wanted = np.array([3, 0, 4, 3], np.int32)
        found = jax.jit(functools.partial(class_activation_map, model=model))(variables, features, wanted)
        for image, label, own in zip(features, wanted.tolist(), np.asarray(found), strict=True):
            # The gradient of the mean over six places is a sixth of it in each place.
            weights = logit_gradient(variables, image.mean((0, 1)), label) / 6
            expected = np.maximum((image * weights).sum(-1), 0)
            assert np.count_nonzero(expected) > 0
            np.testing.assert_allclose(own, expected, rtol=1e-10, atol=1e-13)


def test_a_map_of_the_predicted_class_enlarged_and_divided_by_its_largest_value() -> None:
    images = np.random.default_rng(2).integers(0, 256, (3, 16, 24, 3), np.uint8)
    with jax.enable_x64(True):
        model, variables = tiny(attention="cbam", head="fc")

        def run(variables: Variables, images: jax.Array, classes: jax.Array) -> Any:
            shown = normalize(images, np.float64)
            logits, updated = model.apply(variables, shown, train=False, mutable=["intermediates"])
            sown = updated["intermediates"]
            large = maps(variables, images, classes, model=model, method="gradcam")
            features = sown["head_input"][0]
            small = class_activation_map(variables, features, logits.argmax(1), model=model)
            own = sown["attention"]["spatial_map"][0], spatial_map(sown)
            return large, small, logits, features, sown["attention_output"][0], own

        compiled = jax.jit(run)
        large, small, logits, features, after, own = compiled(variables, images, np.full(3, PREDICTED, np.int32))
        labels = np.asarray(logits).argmax(1).astype(np.int32)
        np.testing.assert_array_equal(large, compiled(variables, images, labels)[0])
        assert not np.array_equal(large, compiled(variables, images, (labels + 1) % 5)[0])
        # Without weights nothing speaks for any class.
        params = variables["params"]
        head = params["head"] | {"output": jax.tree.map(jnp.zeros_like, params["head"]["output"])}
        nothing = compiled({**variables, "params": params | {"head": head}}, images, labels)[0]
    np.testing.assert_array_equal(nothing, np.zeros((3, 16, 24)))
    assert (features.shape, own[1].shape) == ((3, 4, 6, 12), (3, 4, 6))
    np.testing.assert_array_equal(features, after)
    np.testing.assert_array_equal(own[1], own[0][..., 0])
    for low, high in zip(np.asarray(small), np.asarray(large), strict=True):
        enlarged = bilinear(low, 4)
        np.testing.assert_allclose(high, enlarged / enlarged.max(), rtol=1e-10, atol=1e-13)


def bilinear(array: np.ndarray, times: int) -> np.ndarray:
    """Each place of the larger array is between the four nearest centres of the smaller one; beyond them it is flat."""

    def along(size: int) -> np.ndarray:
        places = np.clip((np.arange(size * times) + 0.5) / times - 0.5, 0, size - 1)
        return np.maximum(1 - np.abs(places[:, None] - np.arange(size)), 0)

    return along(array.shape[0]) @ array @ along(array.shape[1]).T


def test_the_blocks_cbam() -> None:
    model = network(model_config(**SIZES, block_attention={"type": "cbam", "reduction": 2}), 5, "float32")

    images, classes = jax.ShapeDtypeStruct((2, 16, 24, 3), np.uint8), jax.ShapeDtypeStruct((2,), np.int32)
    run = functools.partial(maps, model=model, method="cbam")
    assert jax.eval_shape(run, variable_shapes(model), images, classes).shape == (2, 16, 24)
    assert has_spatial_map(model)


def test_of_many_blocks_it_is_the_last_ones() -> None:
    names = ("stage2_block1", "stage3_block2", "stage3_block10", "stage3_block9")
    blocks = {name: {"attention": {"spatial_map": (np.full((1, 2, 2, 1), i),)}} for i, name in enumerate(names)}
    assert np.all(spatial_map({"backbone": blocks}) == 2)
    own = {"spatial_map": (np.full((1, 2, 2, 1), 7),)}
    assert np.all(spatial_map({"backbone": blocks, "attention": own}) == 7)
    assert np.all(spatial_map({"backbone": blocks, "attention": {"channel_map": (1,)}}) == 2)
    assert spatial_map({"backbone": {"stem": (1,), "stage2_block1": {}}}) is None
    assert spatial_map({}) is None


# A trained net: files, images and arrays, and who is refused.


@pytest.fixture(scope="module")
def classifier(run):
    return TrainedClassifier(run, devices=jax.devices()[:1])


@pytest.fixture(scope="module")
def files(images):
    return sorted((images / "test").iterdir())[:5]


def test_files_images_and_arrays_in_the_order_given(classifier, files):
    found = classifier.explain(files[::-1], batch_size=2)
    assert (found.shape, found.dtype) == ((5, 16, 16), np.float32)
    assert found.min() >= 0
    np.testing.assert_allclose(found.max((1, 2)), np.ones(5), rtol=1e-6)
    pictures = [Image.open(file) for file in files[::-1]]
    np.testing.assert_allclose(classifier.explain(pictures, batch_size=2), found, atol=1e-6)
    np.testing.assert_allclose(classifier.explain([np.asarray(p) for p in pictures], batch_size=2), found, atol=1e-6)
    np.testing.assert_allclose(classifier.explain(str(files[0]), batch_size=2), found[-1:], atol=1e-6)
    assert classifier.explain([], batch_size=2).shape == (0, 16, 16)


def test_classes_by_name_and_number(classifier, files):
    names = classifier.classes
    predicted = classifier.predict(files).argmax(1)
    found = classifier.explain(files, batch_size=2)
    same = classifier.explain(files, classes=[names[i] for i in predicted], batch_size=2)
    np.testing.assert_allclose(same, found, atol=1e-6)
    first = classifier.explain([files[0], files[0]], classes=[3, names[7]], batch_size=2)
    assert not np.allclose(first[0], first[1])
    np.testing.assert_allclose(classifier.explain(files[:1], classes=names[7], batch_size=2)[0], first[1], atol=1e-6)


def test_the_map_of_cbam(classifier, run, files):
    found = classifier.explain(files[:2], method="cbam", batch_size=2)
    module, variables = jaxnext.load_flax(run)
    (shown,) = classifier.shown(files[:2], 2)

    @jax.jit
    @jax.default_matmul_precision("highest")
    def run(images):
        return module.apply(variables, normalize(images, module.dtype), train=False, mutable=["intermediates"])

    _, sown = run(shown)
    for own, large in zip(sown["intermediates"]["attention"]["spatial_map"][0][..., 0], found, strict=True):
        np.testing.assert_allclose(large, bilinear(np.asarray(own), 4), rtol=1e-4)


def test_who_is_refused(classifier, run, files, tmp_path):
    (tmp_path / "bad.jpg").write_text("no image")
    for call, error, sentence in (
        (
            lambda: classifier.explain(files, method="lime"),
            UsageError,
            "explain: expected one of cbam, gradcam, found 'lime'",
        ),
        (
            lambda: classifier.explain(files, method="cbam", classes="1"),
            UsageError,
            "explain: expected classes with gradcam only: the map of cbam is the same for all of them",
        ),
        (
            lambda: Ensemble([run, run], devices=jax.devices()[:1]).explain(files),
            UsageError,
            "explain: expected one net, found an ensemble of 2; explain one at a time",
        ),
        (
            lambda: classifier.explain([files[0], tmp_path / "bad.jpg"]),
            JaxnextError,
            f"{tmp_path / 'bad.jpg'}: the image cannot be read (not an image that Pillow can read)",
        ),
        (
            lambda: class_numbers("z", ("a", "b"), 1),
            UsageError,
            "explain: expected one of the classes 'a', 'b' or 0 to 1, found 'z'",
        ),
        (
            lambda: class_numbers(["a", 9], tuple("abcdefg"), 2),
            UsageError,
            "explain: expected one of the classes 'a', 'b', 'c', 'd', 'e', ... or 0 to 6, found 9",
        ),
        (
            lambda: class_numbers(["a"], ("a", "b"), 2),
            UsageError,
            "explain: expected classes for 2 images, found 1",
        ),
    ):
        with pytest.raises(error) as raised:
            call()
        assert str(raised.value) == sentence


def test_a_net_without_cbam() -> None:
    model = network(model_config(**SIZES), 5, "float32")
    shapes = (
        variable_shapes(model),
        jax.ShapeDtypeStruct((1, 16, 16, 3), np.uint8),
        jax.ShapeDtypeStruct((1,), np.int32),
    )
    with pytest.raises(UsageError) as error:
        jax.eval_shape(functools.partial(maps, model=model, method="cbam"), *shapes)
    assert (
        str(error.value) == "cbam: expected a net with model.attention cbam, found one without; gradcam takes any net"
    )
    assert not has_spatial_map(model)
