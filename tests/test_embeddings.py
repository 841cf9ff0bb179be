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


def test_the_mean_over_all_places_of_what_the_head_is_given_on_any_number_of_devices():
    images = np.random.default_rng(0).integers(0, 256, (8, 16, 40, 3), np.uint8)
    with jax.enable_x64(True):
        model, variables = tiny(attention="cbam")

        @jax.jit
        def head_input(images):
            shown = normalize(images, model.dtype)
            return model.apply(variables, shown, train=False, mutable=["intermediates"])[1]["intermediates"][
                "head_input"
            ]

        features = np.asarray(head_input(images)[0])
        found = [
            np.asarray(compile_embeddings(model, mesh_of(jax.devices()[:n]))(variables, images)) for n in (1, 2, 4)
        ]
    assert features.shape == (8, 4, 10, 12)
    for own in found:
        assert own.dtype == np.float64
        np.testing.assert_allclose(own, np.asarray(features).sum((1, 2)) / 40, rtol=1e-12, atol=1e-14)


def test_files_in_their_order_with_any_batches(classifier, run, images):
    files = sorted((images / "test").iterdir())[:5]
    found = classifier.embed(files[::-1])
    assert (found.shape, found.dtype) == ((5, 32), np.float32)
    np.testing.assert_allclose(classifier.embed(files, batch_size=2), found[::-1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(classifier.embed(files[0]), found[-1:], rtol=1e-5, atol=1e-6)
    assert classifier.embed([]).shape == (0, 32)
    streamed = [rows[host.mask] for host, rows in classifier.stream_embeddings(files_source(files), 2, workers=0)]
    np.testing.assert_allclose(np.concatenate(streamed), found[::-1], rtol=1e-5, atol=1e-6)
    # The checkpoint's own net, its batch norms not folded.
    module, variables = jaxnext.load_flax(run)
    (shown,) = classifier.shown(files[:1], 1)
    normal = normalize(jnp.asarray(shown), module.dtype)
    sown = jax.jit(lambda x: module.apply(variables, x, train=False, mutable=["intermediates"])[1])(normal)
    np.testing.assert_allclose(found[-1:], sown["intermediates"]["head_input"][0].mean((1, 2)), rtol=1e-3, atol=1e-4)


def test_an_ensemble_has_none(run):
    several = Ensemble([run, run], devices=jax.devices()[:1])
    with pytest.raises(UsageError, match=r"^embeddings: expected one net, found an ensemble of 2$"):
        several.embed(["a.jpg"])
