import dataclasses
import shutil
from pathlib import Path
from unittest.mock import create_autospec

import jax
import numpy as np
import pytest
import small_run

from jaxnext.errors import JaxnextError
from jaxnext.inference import predictor
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.inference.evaluate import evaluate, figures, predict_labelled, report, sums_of
from jaxnext.metrics import Accumulator
from jaxnext.training.fit import fit


@pytest.fixture(scope="module")
def classifier(run):
    return TrainedClassifier(run, devices=jax.devices()[:1])


def measured(classifier, data, lines=None, cores=2):
    said, paths = [] if lines is None else lines, [data] if isinstance(data, Path) else data
    return evaluate(
        classifier, paths, batch_size=7, workers=0, cores=cores, warn=said.append, progress=lambda batches, _: batches
    )


def test_without_data_the_runs_own_validation_images(classifier):
    sums = measured(classifier, None)
    assert int(sums.sums["count"]) == 24
    assert sums.mean("correct") == classifier.meta.val_accuracy
    assert sums.sums["class_count"].tolist() == [2] * 12


def test_classes_are_matched_by_name(classifier, images, tmp_path):
    # Two of the twelve: their own order would make them 0 and 1.
    for name in ("10", "3"):
        shutil.copytree(images / "train" / name, tmp_path / name)
    sums = measured(classifier, tmp_path)
    assert int(sums.sums["count"]) == 16
    assert sums.mean("correct") >= 0.75
    assert dict(zip(classifier.classes, sums.sums["class_count"].tolist(), strict=True))["10"] == 8


def test_folders_and_archives_are_one(classifier, images, tmp_path):
    for name in ("10", "3"):
        shutil.copytree(images / "train" / name, tmp_path / "both" / name)
        shutil.copytree(images / "train" / name, tmp_path / name / name)
    archive = Path(shutil.make_archive(str(tmp_path / "archive"), "zip", tmp_path / "10"))
    found, expected = (
        measured(classifier, [archive, tmp_path / "3"]),
        measured(classifier, tmp_path / "both"),
    )
    assert {name: np.asarray(value).tolist() for name, value in found.sums.items()} == {
        name: np.asarray(value).tolist() for name, value in expected.sums.items()
    }


def test_a_thread_for_each_core(classifier, monkeypatch):
    opened = create_autospec(predictor.stream, side_effect=predictor.stream)
    monkeypatch.setattr(predictor, "stream", opened)
    measured(classifier, None, cores=3)
    assert opened.call_args.kwargs == {"workers": 0, "threads": 3}


def test_files_left_out_are_said(classifier, images, tmp_path):
    shutil.copytree(images / "train" / "3", tmp_path / "3")
    (tmp_path / "3" / "notes.txt").write_text("")
    lines = []
    measured(classifier, tmp_path, lines)
    assert lines == [f"{tmp_path}: left out 1 entry that is hidden or no image (.txt 1)"]


@pytest.mark.slow
def test_validation_images_that_have_changed(tmp_path):
    data = small_run.write_images(tmp_path / "data", {"train": 3})
    small_run.train(tmp_path / "r", data, epochs=1, batch_size=8)
    classifier = TrainedClassifier(tmp_path / "r", devices=jax.devices()[:1])
    assert int(measured(classifier, None).sums["count"]) == 12
    for i in range(9):
        small_run.picture("3", 50 + i).save(data / "train" / "3" / f"new{i}.jpg")
    with pytest.raises(JaxnextError, match="the validation images are no longer those of the run"):
        measured(classifier, None)


def test_unknown_class_folder(classifier, images, tmp_path):
    shutil.copytree(images / "train" / "3", tmp_path / "cat")
    with pytest.raises(JaxnextError, match=r"cat: expected one of the 12 classes 0, 1, 10, 11, 2 and 7 more"):
        measured(classifier, tmp_path)


def test_corrupt_image_stops_it(classifier, tmp_path):
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "a.png").write_bytes(b"")
    with pytest.raises(JaxnextError) as error:
        measured(classifier, tmp_path)
    assert str(error.value) == f"{tmp_path / '3' / 'a.png'}: the image cannot be read (the file is empty)"


def test_images_that_the_run_was_to_skip_are_skipped(tmp_path):
    data = small_run.write_images(tmp_path / "data", {"train": 2, "val": 1})
    (data / "val" / "7" / "0.jpg").write_bytes(b"not a picture")
    config = small_run.config(data, epochs=1)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, on_corrupt="skip"))
    fit(config, tmp_path / "r", False, small_run.run_env())
    lines: list[str] = []
    sums = measured(TrainedClassifier(tmp_path / "r", devices=jax.devices()[:1]), None, lines)
    assert int(sums.sums["count"]) == 11
    assert lines[-1].endswith(
        "val/7/0.jpg: the image cannot be read (not an image that Pillow can read); it is left out"
    )


def test_classes_of_the_run_have_changed(tmp_path):
    data = small_run.write_images(tmp_path / "data", {"train": 2, "val": 1})
    small_run.train(tmp_path / "r", data, epochs=1)
    shutil.rmtree(data / "train" / "11")
    shutil.rmtree(data / "val" / "11")
    with pytest.raises(JaxnextError, match=r"expected the classes of the run, \['0', .*; give --data"):
        measured(TrainedClassifier(tmp_path / "r", devices=jax.devices()[:1]), None)


def test_report_literally():
    sums = Accumulator(
        {
            "count": np.array(1200),
            "loss": np.array(600.0),
            "correct": np.array(900),
            "correct_top5": np.array(1180),
            "class_count": np.array([1000, 200, 0]),
            "class_correct": np.array([800, 100, 0]),
        }
    )
    assert report(sums, ("cat", "hummingbird", "owl")) == (
        "images           1,200\n"
        "loss             0.5000\n"
        "top-1 accuracy   75.00%\n"
        "\n"
        "class        images  accuracy\n"
        "cat           1,000    80.00%\n"
        "hummingbird     200    50.00%\n"
        "owl               0         -"
    )
    names = tuple("abcdef")
    six = {name: value for name, value in sums.sums.items() if not name.startswith("class")}
    six |= {"class_count": np.full(6, 200), "class_correct": np.full(6, 150)}
    assert "top-5 accuracy   98.33%" in report(Accumulator(six), names)


def test_figures_literally():
    sums = Accumulator(
        {
            "count": np.array(5),
            "loss": np.array(2.0),
            "correct": np.array(3),
            "correct_top5": np.array(4),
            "class_count": np.array([4, 1, 0]),
            "class_correct": np.array([3, 0, 0]),
        }
    )
    found = figures(sums, ("cat", "dog", "owl"))
    assert found[:4] == (5, 0.4, 0.6, 0.8)
    assert found.class_accuracy == {"cat": 0.75, "dog": 0.0, "owl": pytest.approx(float("nan"), nan_ok=True)}
    assert found.class_images == {"cat": 4, "dog": 1, "owl": 0}


def test_a_classifier_evaluates_itself(classifier, images, tmp_path):
    assert classifier.evaluate().accuracy == classifier.meta.val_accuracy
    shutil.copytree(images / "train" / "3", tmp_path / "3")
    (tmp_path / "3" / "notes.txt").write_text("")
    lines = []
    found = classifier.evaluate(str(tmp_path), warn=lines.append)
    assert (found.images, found.class_images["3"], found.accuracy) == (8, 8, found.class_accuracy["3"])
    assert lines == [f"{tmp_path}: left out 1 entry that is hidden or no image (.txt 1)"]


def test_probabilities_of_each_image_give_the_same_sums(classifier, images, tmp_path):
    for name in ("10", "3"):
        shutil.copytree(images / "val" / name, tmp_path / name)
    options = {"batch_size": 3, "workers": 0, "cores": 2, "warn": print, "progress": lambda batches, _: batches}
    found = predict_labelled(classifier, [tmp_path], **options)
    predictions = found.predictions
    assert predictions.paths == [str(tmp_path / name / f"{i}.jpg") for name in ("10", "3") for i in (0, 1)]
    assert [predictions.classes[label] for label in predictions.truth] == ["10", "10", "3", "3"]
    np.testing.assert_allclose(predictions.probabilities, classifier.predict(predictions.paths), rtol=1e-5)
    assert (len(found.source), found.numbers.tolist()) == (4, [0, 1, 2, 3])
    sums, expected = sums_of(predictions).sums, measured(classifier, tmp_path).sums
    assert {name: np.asarray(value).tolist() for name, value in sums.items()} == {
        name: pytest.approx(np.asarray(value).tolist(), rel=1e-5) for name, value in expected.items()
    }


def test_images_that_cannot_be_read_have_no_probabilities(classifier, tmp_path):
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "a.png").write_bytes(b"")
    small_run.picture("3", 1).save(tmp_path / "3" / "b.png")
    options = {"batch_size": 3, "workers": 0, "cores": 2, "progress": lambda batches, _: batches}
    with pytest.raises(JaxnextError, match=r"a\.png: the image cannot be read"):
        predict_labelled(classifier, [tmp_path], warn=print, **options)
