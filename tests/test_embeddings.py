"""Embeddings against their definition, the mean over all places of the head's input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_explain import tiny

import jaxnext
from jaxnext.data.folder_source import files_source
from jaxnext.engine.parallel import mesh_of
from jaxnext.errors import UsageError
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.inference.embeddings import compile_embeddings
from jaxnext.inference.ensemble import Ensemble
from jaxnext.normalization import normalize


@pytest.fixture(scope="module")
def classifier(run):
    return TrainedClassifier(run, devices=jax.devices()[:1])


@pytest.mark.parametrize(
    ("attention", "devices"), [("none", (4,)), pytest.param("cbam", (1, 2, 4), marks=pytest.mark.slow)]
)
def test_the_mean_over_all_places_of_what_the_head_is_given_on_any_number_of_devices(attention, devices):
    images = np.random.default_rng(0).integers(0, 256, (8, 16, 40, 3), np.uint8)
    with jax.enable_x64(True):
        model, variables = tiny(attention=attention)

        @jax.jit
        def head_input(images):
            shown = normalize(images, model.dtype)
            return model.apply(variables, shown, train=False, mutable=["intermediates"])[1]["intermediates"]

        (features,) = head_input(images)["head_input"]
        meshes = [mesh_of(jax.devices()[:count]) for count in devices]
        found = [np.asarray(compile_embeddings(model, mesh)(variables, images)) for mesh in meshes]
    assert features.shape == (8, 4, 10, 12)
    for own in found:
        assert own.dtype == np.float64
        np.testing.assert_allclose(own, np.asarray(features).sum((1, 2)) / 40, rtol=1e-12, atol=1e-14)


def test_files_in_their_order(classifier, images):
    files = sorted((images / "test").iterdir())[:5]
    found = classifier.embed(files[::-1], batch_size=2)
    assert (found.shape, found.dtype) == ((5, 32), np.float32)
    assert len(np.unique(found, axis=0)) == 5
    np.testing.assert_array_equal(classifier.embed(files[0], batch_size=2), found[-1:])
    assert classifier.embed([], batch_size=2).shape == (0, 32)
    streamed = [rows[host.mask] for host, rows in classifier.stream_embeddings(files_source(files), 2, workers=0)]
    np.testing.assert_array_equal(np.concatenate(streamed), found[::-1])


@pytest.mark.slow
def test_in_any_batches_they_are_those_of_the_checkpoints_own_net(classifier, run, images):
    files = sorted((images / "test").iterdir())[:5]
    module, variables = jaxnext.load_flax(run)
    (shown,) = classifier.shown(files, 5)
    normal = normalize(jnp.asarray(shown), module.dtype)
    sown = jax.jit(lambda x: module.apply(variables, x, train=False, mutable=["intermediates"])[1])(normal)
    expected = sown["intermediates"]["head_input"][0].mean((1, 2))
    # Its batch norms are not folded.
    for size in (2, 16):
        np.testing.assert_allclose(classifier.embed(files, size), expected, rtol=1e-3, atol=1e-4)


def test_an_ensemble_has_none(run):
    several = Ensemble([run, run], devices=jax.devices()[:1])
    with pytest.raises(UsageError, match=r"^embeddings: expected one net, found an ensemble of 2$"):
        several.embed(["a.jpg"])
