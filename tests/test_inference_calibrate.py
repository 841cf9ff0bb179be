import dataclasses
import shutil

import jax
import numpy as np
import pytest

from jaxnext.engine.checkpoint import read_model
from jaxnext.engine.digests import digest_of
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.inference.calibrate import calibrate, lines
from jaxnext.inference.calibration import write_calibration
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.inference.evaluate import evaluate, predict_labelled
from jaxnext.reporting.calibration import scaled
from jaxnext.reporting.figures import losses

OPTIONS = {"batch_size": 7, "workers": 0, "cores": 2, "warn": print, "progress": lambda batches, total: batches}


@pytest.fixture(scope="module")
def classifier(run):
    return TrainedClassifier(run, devices=jax.devices()[:1])


@pytest.fixture(scope="module")
def mislabelled(images, tmp_path_factory):
    """The validation images, of which those of two classes have each other's name."""
    folder = tmp_path_factory.mktemp("mislabelled") / "val"
    shutil.copytree(images / "val", folder)
    (folder / "0").rename(folder / "other")
    (folder / "1").rename(folder / "0")
    (folder / "other").rename(folder / "1")
    return folder


@pytest.fixture(scope="module")
def found(classifier, mislabelled, images):
    return calibrate(classifier, [mislabelled], 0.9, [images / "test"], seed=0, **OPTIONS)


def test_what_is_found(found):
    calibration, table = found
    assert calibration.images == 24
    assert 0.01 < calibration.temperature < 100
    assert calibration.log_loss[1] < 2 * calibration.log_loss[0]
    assert calibration.accuracy == 0.9
    assert 0 < calibration.threshold < 1
    assert 0 < calibration.coverage <= 1
    assert [round(row.coverage, 2) >= least for row, least in zip(table, (1, 0.95, 0.9, 0.8), strict=False)] == [
        True
    ] * 4
    # The test images are of the same classes: nothing tells them apart.
    assert 0.2 < calibration.energy["auroc"] < 0.8
    text = "\n".join(lines(calibration, table))
    assert "temperature " in text
    assert "an accuracy of 90.00% is reached from" in text
    assert "by energy" in text


def test_used_when_asked(found, run, tmp_path, images, mislabelled, classifier):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    kept = dataclasses.replace(found[0], weights=digest_of(read_model(folder, "best")[0]))
    write_calibration(folder, "best", kept)
    calibrated = TrainedClassifier(folder, devices=jax.devices()[:1], temperature="calibrated")
    assert calibrated.calibration == kept
    paths = sorted((images / "test").glob("*.jpg"))[:8]
    plain = classifier.predict(paths)
    np.testing.assert_allclose(
        calibrated.predict(paths), scaled(plain.astype(np.float64), kept.temperature), rtol=1e-4, atol=1e-7
    )
    log_loss = losses(predict_labelled(classifier, [mislabelled], **OPTIONS).predictions).mean()
    assert log_loss == pytest.approx(kept.log_loss[0], rel=1e-6)
    sums = evaluate(calibrated, [mislabelled], **OPTIONS)
    assert sums.mean("loss") < log_loss
    # What is not asked for changes nothing.
    np.testing.assert_array_equal(TrainedClassifier(folder, devices=jax.devices()[:1]).predict(paths), plain)


def test_an_accuracy_that_nothing_reaches(classifier, images, tmp_path):
    for wrong, right in (("0", "1"), ("1", "0")):
        shutil.copytree(images / "val" / right, tmp_path / wrong)
    with pytest.raises(JaxnextError, match=r"--accuracy 0\.99: no threshold reaches it; the highest is "):
        calibrate(classifier, [tmp_path], 0.99, None, seed=0, **OPTIONS)


def test_without_mistakes_no_temperature_is_fitted(classifier, images, tmp_path):
    shutil.copytree(images / "val" / "3", tmp_path / "3")
    with pytest.raises(JaxnextError, match="expected at least two images that are predicted wrong, found 0 of 2: to"):
        calibrate(classifier, [tmp_path], None, None, seed=0, **OPTIONS)


def test_energies_of_an_ensemble(run):
    from jaxnext.inference.ensemble import Ensemble

    both = Ensemble([run, run], devices=jax.devices()[:1])
    with pytest.raises(UsageError, match="energy: expected one net, found an ensemble of 2"):
        next(both.stream_energies(None, 4, 0))
