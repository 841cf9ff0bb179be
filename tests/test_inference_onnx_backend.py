"""A trained net computed by onnxruntime answers as it does by JAX."""

import dataclasses
import itertools
from typing import Any

import jax
import numpy as np
import onnx_programs
import pytest

from jaxnext.errors import UsageError
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.inference.onnx.backend import OnnxPredictor, faster

assert onnx_programs  # skips these where the libraries are missing


@pytest.fixture(scope="module")
def net(run: Any) -> TrainedClassifier:
    return TrainedClassifier(run, devices=jax.devices()[:1], temperature=2.0)


@pytest.fixture(scope="module")
def by_onnxruntime(net: TrainedClassifier) -> OnnxPredictor:
    return OnnxPredictor(net, threads=1)


def test_probabilities_of_files_and_arrays(net: Any, by_onnxruntime: OnnxPredictor, images: Any) -> None:
    paths = sorted((images / "test").iterdir())[:5]
    pictures = np.random.default_rng(0).integers(0, 256, (3, 20, 24, 3), np.uint8)
    for given in (paths, pictures):
        expected, found = (predictor.predict(given, 4) for predictor in (net, by_onnxruntime))
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert (found.argmax(1) == expected.argmax(1)).all()
    assert by_onnxruntime.members == (net,)
    assert by_onnxruntime.classes == net.classes


def test_several_views_are_refused(by_onnxruntime: OnnxPredictor) -> None:
    with pytest.raises(UsageError, match=r"^test-time augmentation: expected JAX to compute it, found onnxruntime$"):
        by_onnxruntime.predict(np.zeros((1, 8, 8, 3), np.uint8), 4, tta="flips")


def test_another_precision_is_refused(net: TrainedClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    other = dataclasses.replace(net.meta, config=dataclasses.replace(net.meta.config, precision="bfloat16"))
    monkeypatch.setattr(net, "meta", other)
    with pytest.raises(UsageError) as error:
        OnnxPredictor(net)
    assert str(error.value) == "--backend onnxruntime: expected a net that computes in float32, found bfloat16"


@pytest.mark.parametrize(("factor", "chosen"), [(0.5, "onnxruntime"), (1, "jax"), (2, "jax")])
def test_the_faster_of_two(net: TrainedClassifier, by_onnxruntime: OnnxPredictor, factor: float, chosen: str) -> None:
    # JAX is timed first: three times from one tick to the next.
    ticks = itertools.chain(range(6), (100 + factor * tick for tick in range(6)))
    found, seconds = faster(net, by_onnxruntime, 4, lambda: float(next(ticks)))
    assert found is {"jax": net, "onnxruntime": by_onnxruntime}[chosen]
    assert seconds == {"jax": 1.0, "onnxruntime": factor}
