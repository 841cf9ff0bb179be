import dataclasses
import re

import jax
import numpy as np
import pytest
import small_run

import jaxnext
from jaxnext.data.folder_source import class_folder_source
from jaxnext.engine.checkpoint import Checkpoints
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.inference import predictor
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.inference.ensemble import Ensemble
from jaxnext.inference.evaluate import labelled

ORDER = np.roll(np.arange(12), 5)
"""Where the second net has the first one's classes."""


def save(folder, variables, meta, data=None, **changes):
    config = dataclasses.replace(meta.config, data=dataclasses.replace(meta.config.data, **(data or {})))
    with Checkpoints(folder) as checkpoints:
        checkpoints.save_model("best", meta.epoch, variables, dataclasses.replace(meta, config=config, **changes))
    return folder


@pytest.fixture(scope="module")
def files(images):
    return sorted((images / "test").iterdir())[:7]


@pytest.fixture(scope="module")
def second(run, tmp_path_factory):
    """The net of the run, changed a little: other weights, classes in another order, images of another size."""
    variables, meta = small_run.model_of(run, "best")
    random = np.random.default_rng(0)
    head = variables["params"]["head"]
    for leaf in jax.tree.leaves(head):
        leaf += random.normal(0, 0.2, leaf.shape).astype(np.float32)
        if leaf.shape[-1] == 12:
            leaf[...] = leaf[..., np.argsort(ORDER)]
    classes = tuple(np.array(meta.classes)[np.argsort(ORDER)].tolist())
    place = tmp_path_factory.mktemp("second")
    return save(place, variables, meta, {"image_size": 12}, classes=classes, val_accuracy=0.25)


@pytest.fixture(scope="module")
def nets(run, second):
    return [TrainedClassifier(place, devices=jax.devices()[:1]) for place in (run, second)]


@pytest.fixture(scope="module")
def alone(nets, files):
    """What each net predicts by itself, in the order of the first one's classes."""
    assert np.array(nets[1].classes)[ORDER].tolist() == list(nets[0].classes)
    found = [nets[0].predict(files), nets[1].predict(files)[:, ORDER]]
    assert np.abs(found[0] - found[1]).max() > 0.01
    return found


# An ensemble compiles programs of its own; these are shared.


@pytest.fixture(scope="module")
def both(run, second):
    return Ensemble([run, second], devices=jax.devices()[:2])


@pytest.fixture(scope="module")
def of_logits(run, second):
    return ensemble(run, second, mean="logits")


def ensemble(*places, mean="probabilities"):
    return Ensemble(places, devices=jax.devices()[:1], mean=mean)


def test_mean_of_probabilities(both, alone, files):
    assert both.classes == small_run.CLASSES
    assert both.weights == [0.5, 0.5]
    assert both.image_size == 16
    np.testing.assert_allclose(both.predict(files, batch_size=6), (alone[0] + alone[1]) / 2, rtol=1e-5, atol=1e-7)


def test_mean_of_logits(of_logits, alone, files):
    product = np.sqrt(alone[0] * alone[1])
    expected = product / product.sum(-1, keepdims=True)
    np.testing.assert_allclose(of_logits.predict(files), expected, rtol=1e-4, atol=1e-6)


def test_weighted_by_validation_accuracy(run, second, alone, files):
    accuracy = small_run.model_of(run, "best")[1].val_accuracy
    share = accuracy / (accuracy + 0.25)
    found = ensemble(run, second, mean="validation")
    np.testing.assert_allclose(found.weights, [share, 1 - share])
    expected = share * alone[0] + (1 - share) * alone[1]
    np.testing.assert_allclose(found.predict(files), expected, rtol=1e-5, atol=1e-7)


def test_views_are_averaged_before_nets(of_logits, nets, files):
    first, other = (net.predict(files, tta="flips") for net in nets)
    product = np.sqrt(first * other[:, ORDER])
    found = of_logits.predict(files, tta="flips")
    np.testing.assert_allclose(found, product / product.sum(-1, keepdims=True), rtol=1e-4, atol=1e-6)


def test_same_pixels_are_decoded_once(run, second, files, both, monkeypatch):
    decoded = []

    def noted(order, train, source, pixels, **options):
        decoded.append(pixels.size)
        return stream(order, train, source, pixels, **options)

    stream = predictor.stream
    monkeypatch.setattr(predictor, "stream", noted)
    both.predict(files, batch_size=6)
    assert decoded == [(16, 16), (12, 12)]
    assert [pixels.size for pixels in ensemble(run, second, run)._decodings] == [(16, 16), (12, 12)]


def test_nets_that_differ_only_in_their_weights_share_their_programs(both):
    first, other = both.members
    assert first._log_probabilities is other._log_probabilities
    apart = TrainedClassifier(first.checkpoint, devices=jax.devices()[:1])
    before = apart._log_probabilities
    apart.share_programs([first])
    assert apart._log_probabilities is before


def test_metrics_of_the_mean_on_several_devices(both, images):
    source = class_folder_source(images / "val", both.classes)
    rows = list(both.stream(source, 5, workers=0))
    batches = list(both.evaluate_batches(source, 5, workers=0))
    assert [int(sums["count"]) for _, sums in batches] == [5, 5, 5, 5, 4]
    for (host, probabilities), (_, sums) in zip(rows, batches, strict=True):
        own = probabilities[host.mask][np.arange(host.mask.sum()), host.label[host.mask]]
        np.testing.assert_allclose(sums["loss"], -np.log(own).sum(), rtol=1e-5)


def test_the_runs_validation_images_have_to_be_the_same(run, tmp_path):
    variables, meta = small_run.model_of(run, "best")
    assert len(labelled(ensemble(run, run), None)[0]) == 24
    other = save(tmp_path / "other", variables, meta, validation="others")
    with pytest.raises(JaxnextError) as error:
        labelled(ensemble(run, other), None)
    assert str(error.value) == (
        f"{other}: expected the validation images of {run}, found others, so that some may have been trained on; "
        "give --data"
    )


def test_other_classes(run, tmp_path):
    variables, meta = small_run.model_of(run, "best")
    names = tuple(name if name not in ("3", "7") else f"no{name}" for name in small_run.CLASSES)
    other = save(tmp_path / "other", variables, meta, classes=names)
    with pytest.raises(JaxnextError) as error:
        ensemble(run, other)
    assert str(error.value) == (
        f"{other}: expected the classes of {run}, found them without '3', '7' and with 'no3', 'no7'"
    )
    many = save(tmp_path / "many", variables, meta, classes=tuple(f"no{name}" for name in small_run.CLASSES))
    with pytest.raises(JaxnextError, match=r"with 'no0', 'no1', 'no10', 'no11', 'no2' and 7 more$"):
        ensemble(run, many)


@pytest.mark.parametrize(
    ("accuracy", "found"), [(None, "an? .*accuracy on record"), (0.0, "a validation accuracy above 0")]
)
def test_no_accuracy_to_weigh_by(run, tmp_path, accuracy, found):
    variables, meta = small_run.model_of(run, "best")
    other = save(tmp_path / "other", variables, meta, val_accuracy=accuracy)
    with pytest.raises(JaxnextError, match=f"^{re.escape(str(other))}: expected {found}"):
        ensemble(other, other, mean="validation")


def test_a_member_that_is_no_run(run, tmp_path):
    with pytest.raises(JaxnextError) as error:
        ensemble(run, tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: expected the folder of a run or of a ported checkpoint, found no checkpoints/ in it"
    )


def test_from_python(run, second):
    found = jaxnext.load([str(run), second], ensemble="validation")
    assert [member.checkpoint for member in found.members] == [run, second]
    assert found.weights != [0.5, 0.5]
    with pytest.raises(UsageError, match=r"^ensemble: expected one of probabilities, logits, validation, found 'mean'"):
        jaxnext.load([run], ensemble="mean")  # pyright: ignore[reportArgumentType, reportCallIssue]
    with pytest.raises(UsageError, match=r"^checkpoint: expected the folders of one or more runs, found none$"):
        jaxnext.load([])
    with pytest.raises(UsageError, match=r"^ensemble: expected a list of checkpoints with 'logits', found one$"):
        jaxnext.load(run, ensemble="logits")
