import base64
import io

import jax
import numpy as np
import pytest
from PIL import Image

from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.inference.evaluate import Evaluated, predict_labelled
from jaxnext.inference.report_overlays import report_maps
from jaxnext.reporting.overlay import overlay, stretched
from jaxnext.reporting.predictions import Predictions
from jaxnext.reporting.report_maps import images_with_maps


@pytest.fixture(scope="module")
def classifier(run):
    return TrainedClassifier(run, devices=jax.devices()[:1])


def pixels(address):
    image = Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/jpeg;base64,"))))
    return np.asarray(image).astype(int)


def test_the_maps_of_a_run(classifier, monkeypatch):
    found = predict_labelled(
        classifier, None, batch_size=7, workers=0, cores=2, warn=print, progress=lambda batches, _: batches
    )
    # Two labels are changed, so that there are mistakes.
    known = found.predictions
    predictions = Predictions(known.paths, np.roll(known.truth, 2), known.probabilities, known.classes)
    evaluated = Evaluated(predictions, found.source, found.numbers)
    numbers = images_with_maps(predictions)
    monkeypatch.setattr("jaxnext.inference.report_overlays._BATCH", 5)
    maps = report_maps(classifier, evaluated)
    assert [image.number for image in maps] == numbers
    assert [name for name, _ in maps[0].pictures] == ["image", "Grad-CAM", "CBAM"]
    paths = [predictions.paths[number] for number in numbers[:5]]
    (shown,) = classifier.shown(paths, 5)
    wanted = predictions.predicted[numbers[:5]].tolist()
    by_class = classifier.explain(paths, classes=wanted, batch_size=5)
    by_place = classifier.explain(paths, method="cbam", batch_size=5)
    for image, picture, first, second in zip(maps, shown, by_class, by_place, strict=False):
        (_, plain), (_, gradcam), (_, cbam) = image.pictures
        assert np.abs(pixels(plain) - picture).mean() < 10
        assert np.abs(pixels(gradcam) - overlay(picture, first, 112)).mean() < 5
        assert np.abs(pixels(cbam) - overlay(picture, stretched(second), 112)).mean() < 5


def test_an_image_that_is_gone(classifier):
    found = predict_labelled(
        classifier, None, batch_size=7, workers=0, cores=2, warn=print, progress=lambda batches, _: batches
    )

    class Gone:
        def read(self, index):
            raise FileNotFoundError(2, "No such file or directory")

    assert report_maps(classifier, Evaluated(found.predictions, Gone(), found.numbers)) == []
