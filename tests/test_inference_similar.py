import shutil

import jax
import pytest

from jaxnext.errors import JaxnextError, UsageError
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.inference.ensemble import Ensemble
from jaxnext.inference.similar import find_similar


@pytest.fixture(scope="module")
def classifier(run):
    return TrainedClassifier(run, devices=jax.devices()[:1])


def similar(classifier, data, queries, output, **options):
    lines = []
    defaults = {"batch_size": 7, "workers": 0, "cores": 2, "progress": lambda batches, total: batches}
    given = {**defaults, **options, "say": lines.append, "warn": lines.append}
    return find_similar(classifier, data, queries, 4, output, **given), lines


def test_the_image_itself_its_copy_and_others(classifier, images, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for file in sorted((images / "test").iterdir())[:6]:
        shutil.copy(file, data)
    listed = sorted(path.name for path in data.iterdir())
    shutil.copy(data / listed[2], data / "twin.jpg")
    (data / "bad.jpg").write_text("no image")
    status, lines = similar(classifier, [data], [data / listed[2]], tmp_path / "s.html")
    assert status == 1
    assert lines[0].startswith(f"{data}/bad.jpg: the image cannot be read")
    query = data / listed[2]
    assert lines[1:3] == [
        f"{query}: 1.000 {query}, the same image",
        f"{query}: 1.000 {data}/twin.jpg, the same image",
    ]
    # The third by the definition.
    others = [data / name for name in listed if name != listed[2]]
    vectors = classifier.embed([query, *others]).astype(float)
    vectors /= (vectors**2).sum(1, keepdims=True) ** 0.5
    cosines = vectors[1:] @ vectors[0]
    best = int(cosines.argmax())
    assert lines[3] == f"{query}: {cosines[best]:.3f} {others[best]}"
    assert lines[4:] == [f"{tmp_path}/s.html: the nearest images", "1 of 8 images cannot be read"]
    page = (tmp_path / "s.html").read_text()
    assert page.count("the same image") == 2
    assert page.count("<img ") == 5


def test_what_is_refused(classifier, run, images, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_text("no image")
    for query, reason in (
        (bad, "not an image that Pillow can read"),
        (tmp_path / "x.jpg", "No such file or directory"),
    ):
        with pytest.raises(JaxnextError) as error:
            similar(classifier, [images / "test"], [query], tmp_path / "s.html")
        assert str(error.value) == f"{query}: the image cannot be read ({reason})"
    several = Ensemble([run, run], devices=jax.devices()[:1])
    with pytest.raises(UsageError, match=r"^embeddings: expected one net, found an ensemble of 2$"):
        similar(several, [images / "test"], [bad], tmp_path / "s.html")
