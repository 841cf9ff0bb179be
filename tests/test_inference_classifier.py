import dataclasses

import jax
import numpy as np
import pytest
import small_run
from PIL import Image

import jaxnext
from jaxnext.config.sections import Config
from jaxnext.data.folder_source import class_folder_source, files_source
from jaxnext.data.pixels import Pixels
from jaxnext.data.resize import resize
from jaxnext.engine.checkpoint import Checkpoints, Meta
from jaxnext.engine.network import network
from jaxnext.errors import JaxnextError
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.normalization import normalize


@pytest.fixture(scope="module")
def classifier(run):
    return TrainedClassifier(run, devices=jax.devices()[:1])


@pytest.fixture(scope="module")
def files(images):
    return sorted((images / "test").iterdir())


def test_predicts_files_in_the_order_given(classifier, files):
    probabilities = classifier.predict(files[::-1])
    assert probabilities.shape == (24, 12)
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-5)
    labels = [classifier.classes[i] for i in probabilities.argmax(-1)]
    expected = [file.name.removeprefix("class").split("_")[0] for file in files[::-1]]
    assert sum(a == b for a, b in zip(labels, expected, strict=True)) >= 18


def test_arrays_of_any_size_equal_their_files(classifier, files):
    arrays = [np.asarray(Image.open(file)) for file in files[:5]]
    np.testing.assert_array_equal(classifier.predict(arrays), classifier.predict(files[:5]))
    np.testing.assert_array_equal(classifier.predict(np.stack(arrays)), classifier.predict(arrays))


def test_a_file_given_twice_has_two_rows(classifier, files):
    twice = classifier.predict([files[0], str(files[1]), files[0]])
    assert twice.shape == (3, 12)
    np.testing.assert_array_equal(twice[0], twice[2])


def test_batch_size_and_devices_do_not_matter(classifier, run, files):
    expected = classifier.predict(files)
    np.testing.assert_allclose(classifier.predict(files, batch_size=7), expected, atol=1e-6)
    on_two = TrainedClassifier(run, devices=jax.devices()[:2])
    np.testing.assert_allclose(on_two.predict(files, batch_size=7), expected, atol=1e-6)


def test_one_batch_of_images_as_the_net_sees_them(classifier, files):
    seen = np.concatenate(list(classifier.shown(files[:5], 16)))
    found = classifier.probabilities(seen, 16)
    np.testing.assert_array_equal(found, classifier.predict(files[:5]))


def files_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_images_and_arrays_are_turned_alike(classifier, tmp_path):
    levels, exif = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(levels).save(tmp_path / "a.png", exif=exif)
    upright = classifier.predict([np.rot90(levels, -1)])
    np.testing.assert_array_equal(classifier.predict([tmp_path / "a.png"]), upright)
    np.testing.assert_array_equal(classifier.predict([Image.open(tmp_path / "a.png")]), upright)
    assert not np.array_equal(classifier.predict([levels]), upright)


@pytest.mark.slow
def test_it_computes_what_the_checkpoint_says_with_batch_norms_folded(classifier, run, files):
    before = files_of(run)
    trained = TrainedClassifier(run, devices=jax.devices()[:1])
    assert sorted(trained._variables) == ["params"]
    assert files_of(run) == before
    with Checkpoints(run) as checkpoints:
        variables, meta = checkpoints.restore_model("best")
    model = network(meta.config.model, len(trained.classes), "float32")
    images = np.stack([resize(np.asarray(Image.open(file)), Pixels.of(meta.config.data)) for file in files])
    with jax.default_matmul_precision("highest"):
        expected = jax.nn.softmax(model.apply(variables, normalize(images, np.float32), train=False))
    np.testing.assert_allclose(trained.predict(files), expected, atol=1e-5)


@pytest.mark.slow
def test_images_are_normalised_as_the_checkpoint_says(run, files, tmp_path):
    with Checkpoints(run) as checkpoints:
        variables, meta = checkpoints.restore_model("best")
    mean, std = (0.5, 0.25, 0.0), (0.5, 1.0, 0.25)
    changed = dataclasses.replace(meta.config.model, mean=mean, std=std)
    meta = dataclasses.replace(meta, config=dataclasses.replace(meta.config, model=changed))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_model("best", meta.epoch, variables, meta)
    trained = TrainedClassifier(tmp_path, devices=jax.devices()[:1])
    assert (trained.meta.config.model.mean, trained.meta.config.model.std) == (mean, std)
    pixels = np.stack([resize(np.asarray(Image.open(file)), Pixels.of(meta.config.data)) for file in files])
    images = ((pixels / 255 - np.array(mean)) / np.array(std)).astype(np.float32)
    with jax.default_matmul_precision("highest"):
        model = network(meta.config.model, len(trained.classes), "float32")
        expected = jax.nn.softmax(model.apply(variables, images, train=False))
    np.testing.assert_allclose(trained.predict(files), expected, atol=1e-5)


@pytest.mark.slow
def test_at_another_size_the_net_sees_images_of_that_size(run, files):
    other = TrainedClassifier(run, devices=jax.devices()[:1], image_size=(24, 20))
    assert other.image_size == (24, 20)
    module, variables = jaxnext.load_flax(run)
    # Files of 20x24 pixels, which another size resizes.
    pixels = Pixels((24, 20))
    shown = np.stack([resize(np.asarray(Image.open(file)), pixels) for file in files[:3]])
    logits = module.apply(variables, normalize(jax.numpy.asarray(shown), module.dtype), train=False)
    np.testing.assert_allclose(other.predict(files[:3]), jax.nn.softmax(logits), rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="expected at least 1 pixel, found 0"):
        TrainedClassifier(run, image_size=0)


def test_bfloat16_gives_nearly_the_same_probabilities(classifier, run, files, tmp_path):
    with Checkpoints(run) as checkpoints:
        variables, meta = checkpoints.restore_model("best")
    config = dataclasses.replace(meta.config, precision="bfloat16")
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_model("best", meta.epoch, variables, dataclasses.replace(meta, config=config))
    expected = classifier.predict(files)
    found = TrainedClassifier(tmp_path, devices=jax.devices()[:1]).predict(files)
    assert found.dtype == np.float32
    assert not np.array_equal(found, expected)
    np.testing.assert_allclose(found, expected, atol=2e-2)


def test_a_single_path(classifier, files):
    np.testing.assert_array_equal(classifier.predict(str(files[3])), classifier.predict([files[3]]))


def test_a_folder_among_the_paths(classifier, files):
    with pytest.raises(JaxnextError) as error:
        classifier.predict([files[0], files[0].parent])
    assert str(error.value) == (
        f"{files[0].parent}: expected an image file, found a folder; give the paths of its images"
    )


def test_no_images(classifier):
    assert classifier.predict([]).shape == (0, 12)


def test_stream_and_evaluate_count_every_image_once(classifier, images):
    batches = list(classifier.stream(files_source([images / "test"]), 7, workers=0))
    assert [int(host.mask.sum()) for host, _ in batches] == [7, 7, 7, 3]
    assert all(rows.shape == (7, 12) for _, rows in batches)
    source = class_folder_source(images / "val", classifier.classes)
    counts = [int(sums["count"]) for _, sums in classifier.evaluate_batches(source, 7, workers=0)]
    assert counts == [7, 7, 7, 3]


def test_load_gives_best_or_last(run):
    best, last = jaxnext.load(run), jaxnext.load(str(run), which="last")
    assert best.classes == small_run.CLASSES
    assert best.meta.epoch <= last.meta.epoch == 4


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (np.zeros((4, 4), np.uint8), r"uint8 \[4, 4\]"),
        (np.zeros((4, 4, 3), np.float32), r"float32 \[4, 4, 3\]"),
        (np.zeros((4, 4, 4), np.uint8), r"uint8 \[4, 4, 4\]"),
        (np.zeros((0, 4, 3), np.uint8), r"uint8 \[0, 4, 3\]"),
        (np.zeros((4, 0, 3), np.uint8), r"uint8 \[4, 0, 3\]"),
        (Image.new("L", (0, 4)), r"uint8 \["),
        ([[1, 2], [3]], r"list \("),
    ],
)
def test_array_that_is_no_rgb_image(classifier, image, found):
    good = np.zeros((4, 4, 3), np.uint8)
    expected = (
        r"^predict: image 2: expected a uint8 array \[height, width, 3\], an image of Pillow, or only paths, found "
    )
    with pytest.raises(JaxnextError, match=expected + found):
        classifier.predict([good, good, image], batch_size=2)


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK", "I;16"])
def test_an_image_of_pillow_is_taken_as_its_file(classifier, tmp_path, mode):
    levels = np.random.default_rng(0).integers(0, 256, (40, 30), dtype=np.uint8)
    image = Image.fromarray(levels.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(levels).convert(mode)
    assert image.mode == mode
    image.save(tmp_path / "a.tif")
    np.testing.assert_array_equal(classifier.predict([image]), classifier.predict(tmp_path / "a.tif"))


def test_corrupt_file_is_named(classifier, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(JaxnextError) as error:
        classifier.predict([tmp_path / "a.jpg"])
    assert str(error.value) == f"{tmp_path / 'a.jpg'}: the image cannot be read (the file is empty)"


def test_folder_without_a_checkpoint(tmp_path):
    with pytest.raises(JaxnextError) as error:
        TrainedClassifier(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: expected the folder of a run or of a ported checkpoint, found no checkpoints/ in it"
    )


def test_checkpoint_without_a_trained_head(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_model("best", 0, {"params": {"a": np.zeros(1)}}, Meta(Config(), None, ("backbone",)))
    with pytest.raises(JaxnextError) as error:
        TrainedClassifier(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: expected a trained head, found the parts backbone; fine-tune it with: "
        f"jaxnext train --config fc_cbam --model.weights {tmp_path}"
    )


def test_weights_that_are_not_finite(classifier, monkeypatch, run):
    def broken(self, which):
        variables, meta = restore(self, which)
        variables["params"]["backbone"]["stem_conv"]["kernel"] *= np.float32(np.nan)
        return variables, meta

    restore = Checkpoints.restore_model
    monkeypatch.setattr(Checkpoints, "restore_model", broken)
    found = "params/backbone/stem_conv/kernel"
    with pytest.raises(JaxnextError, match=f"^{run}: expected finite weights, found NaN or infinity in {found}$"):
        TrainedClassifier(run, devices=jax.devices()[:1])


def test_float64_checkpoint_needs_x64(tmp_path):
    meta = Meta(Config(precision="float64"), ("a",), ("backbone", "head"))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_model("best", 0, {"params": {"a": np.zeros(1)}}, meta)
    with pytest.raises(JaxnextError, match=r"a float64 checkpoint needs jax.config.update\('jax_enable_x64', True\)"):
        TrainedClassifier(tmp_path)


@pytest.mark.parametrize("what", ["stream", "evaluate_batches"])
def test_a_batch_is_waited_for_when_the_next_one_is_sent(classifier, images, monkeypatch, what):
    sent = []

    def noted(name):
        step = getattr(classifier, name)
        return lambda *arguments: sent.append(name) or step(*arguments)

    for name in ("_predict", "_evaluate"):
        monkeypatch.setattr(classifier, name, noted(name))
    source = class_folder_source(images / "val")
    batches = getattr(classifier, what)(source, 10, workers=0)
    assert [len(sent) for _ in batches] == [2, 3, 3]
