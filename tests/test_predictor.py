import jax
import numpy as np
import pytest

from jaxnext.data.bad_image import BadImage
from jaxnext.data.folder_source import class_folder_source
from jaxnext.data.loader import HostBatch
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.inference import classifier as trained
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.inference.predictor import joined
from jaxnext.metrics import Accumulator


@pytest.fixture(scope="module")
def classifier(run):
    return TrainedClassifier(run, devices=jax.devices()[:2])


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)


def test_flips_are_the_mean_of_both(classifier, pictures):
    views = [classifier.predict(pictures, 4), classifier.predict(pictures[:, :, ::-1], 4)]
    assert (classifier.predict(pictures, 4, tta="none") == views[0]).all()
    assert np.abs(views[0] - views[1]).max() > 1e-3
    found = classifier.predict(pictures, batch_size=4, tta="flips")
    np.testing.assert_allclose(found, (views[0] + views[1]) / 2, rtol=1e-5, atol=1e-7)


def test_views_of_another_size(classifier, pictures):
    # 0.75 of 16 pixels are 12: the middle ones begin at 2.
    crops = [pictures[:, i : i + 12, j : j + 12] for i, j in [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]]
    images = [jax.device_put(crop[:4]) for crop in crops]
    expected = np.mean([np.exp(classifier.log_probabilities([image], None)) for image in images], axis=0)
    found = classifier.predict(pictures[:4], batch_size=4, tta={"type": "five_crop", "crop_share": 0.75})
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_metrics_are_those_of_the_mean(classifier, images):
    source = class_folder_source(images / "val", classifier.classes)
    sums = Accumulator()
    for _, batch_sums in classifier.evaluate_batches(source, 4, workers=0, tta="flips"):
        sums.add(batch_sums)
    paths = [source.location(i) for i in range(len(source))]
    own = classifier.predict(paths, 4, tta="flips")[np.arange(len(source)), source.labels]
    assert int(sums.sums["count"]) == 24
    np.testing.assert_allclose(sums.mean("loss"), -np.log(own).mean(), rtol=1e-5)


def test_without_views_the_programs_are_those_of_before(classifier, pictures, images, monkeypatch):
    def unexpected(*arguments):
        raise AssertionError

    monkeypatch.setattr(classifier, "_log_probabilities", unexpected)
    assert classifier.predict(pictures, 4).shape == (5, 12)
    assert len(list(classifier.evaluate_batches(class_folder_source(images / "val"), 12, workers=0))) == 2


@pytest.mark.parametrize(
    ("tta", "sentence"),
    [
        ("flip", "tta: expected one of none, five_crop, flips, found 'flip'; did you mean flips?"),
        ({"type": "flips", "share": 1.0}, "unknown key tta.share: flips has no options"),
    ],
)
def test_unknown_views(classifier, tta, sentence):
    with pytest.raises(UsageError) as error:
        classifier.predict([], tta=tta)
    assert str(error.value) == sentence


def test_a_net_that_cannot_see_the_views(run, pictures, monkeypatch):
    def refuse(model, classes, size):
        raise JaxnextError(f"{classes} classes, {size}: no")

    monkeypatch.setattr(trained, "check_parts", refuse)
    with pytest.raises(JaxnextError) as error:
        TrainedClassifier(run, devices=jax.devices()[:1]).predict(pictures, tta="five_crop")
    assert str(error.value) == f"{run}: test-time augmentation gives views of 14x14 pixels: 12 classes, (14, 14): no"


def host_batch(mask, errors=(), remarks=()):
    image, label = np.zeros((3, 1, 1, 3), np.uint8), np.zeros(3, np.int32)
    return HostBatch(0, image, label, np.array(mask), np.arange(3), errors, remarks)


def test_what_is_said_of_several_decodings_is_said_once():
    a, b, other = BadImage("a", "one"), BadImage("b", "two"), BadImage("a", "three")
    first = host_batch([False, True, True], (a,), ("frames", "profile", "frames"))
    found = joined([first, host_batch([False, False, True], (other, b), ("frames", "profile", "profile"))])
    assert found.mask.tolist() == [False, False, True]
    assert found.errors == (a, b)
    assert sorted(found.remarks) == ["frames", "frames", "profile", "profile"]
    assert found.image is first.image
    assert joined([first]) is first
