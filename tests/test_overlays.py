import csv
import shutil
import zipfile

import jax
import numpy as np
import pytest
from PIL import Image

from jaxnext.errors import UsageError
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.inference.ensemble import Ensemble
from jaxnext.inference.overlays import Explanation, overlay_writer, picture_names
from jaxnext.inference.predict import predict_to_csv
from jaxnext.reporting.overlay import overlay


def named(*names: str) -> list[str]:
    of = picture_names(names, "cbam")
    return [of(number).removesuffix(".cbam.jpg") for number in range(len(names))]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b c.jpg", "a/b c.jpg"),
        ("Größe/日本.png", "Größe/日本.png"),
        ("../../etc/x.jpg", "%2E%2E/%2E%2E/etc/x.jpg"),
        ("/etc/x.jpg", "%/etc/x.jpg"),
        ("a/./.x.jpg", "a/%2E/%2Ex.jpg"),
        ("CON/con.jpg", "%43ON/%63on.jpg"),
        ("com1.a/console.jpg", "%63om1.a/console.jpg"),
        ("C:\\a.jpg", "C%3A%5Ca.jpg"),
        ("a%2Fb.jpg", "a%252Fb.jpg"),
        ("a\n\u202eb\udce9.jpg", "a%0A%E2%80%AEb%ED%B3%A9.jpg"),
        ('a <b>|"c"?*.jpg', "a %3Cb%3E%7C%22c%22%3F%2A.jpg"),
        ("a./b /c.jpg.", "a%2E/b%20/c.jpg%2E"),
        # The picture of x is no folder.
        ("x.cbam.jpg/y.jpg", "x.cbam.jp%67/y.jpg"),
    ],
)
def test_a_name_that_any_file_system_takes(name: str, expected: str) -> None:
    assert named(name) == [expected]


def test_names_that_a_file_system_may_take_for_one() -> None:
    first, second, third, other = named("a/X.jpg", "A/x.jpg", "a/\uff58.jpg", "b/x.jpg")
    assert other == "b/x.jpg"
    assert [name.split("%~")[0] for name in (first, second, third)] == ["a/X.jpg", "A/x.jpg", "a/\uff58.jpg"]
    assert len({name.split("%~")[1] for name in (first, second, third)}) == 3
    # An image that a table names twice has one picture.
    assert len(set(named("a.jpg", "a.jpg"))) == 1


def test_long_names_stay_distinct(tmp_path) -> None:
    names = ["ä" * 120 + ending for ending in ("a.jpg", "b.jpg")]
    found = named(*names, "\x01" * 255)
    assert len(set(found)) == 3
    for name in found:
        # As long as the longest of all: also told apart by case, and while it is written.
        (tmp_path / f".{name}%~{'0' * 16}.gradcam.jpg.part").touch()


@pytest.fixture(scope="module")
def classifier(run):
    return TrainedClassifier(run, devices=jax.devices()[:1])


def predict(classifier, data, output, explanation, lines):
    return predict_to_csv(
        classifier,
        data,
        output,
        probabilities=False,
        top_k=None,
        batch_size=2,
        workers=0,
        keep_extension=True,
        columns=("image_name", "pred_label"),
        cores=2,
        say=lines.append,
        warn=lines.append,
        progress=lambda batches, _: batches,
        explanation=explanation,
    )


def files_of(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_pictures_beside_the_predictions(classifier, images, tmp_path):
    names = ("one/x.jpg", "two/x.jpg", "two/CON.jpg", "two/a:b%.jpg", "two/x.jpg.gradcam.jpg/x.jpg")
    sources = sorted((images / "test").iterdir())
    for name, source in zip(names, sources, strict=False):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, tmp_path / "data" / name)
    (tmp_path / "data" / "two" / "bad.jpg").write_text("no image")
    lines, folder = [], tmp_path / "new" / "maps"
    output = tmp_path / "p.csv"
    assert predict(classifier, [tmp_path / "data"], output, Explanation(folder, "gradcam"), lines) == 1
    assert {row["image_name"] for row in csv.DictReader(output.read_text().splitlines())} == set(names)
    safe = ("one/x.jpg", "two/%43ON.jpg", "two/a%3Ab%25.jpg", "two/x.jpg", "two/x.jpg.gradcam.jp%67/x.jpg")
    assert files_of(folder) == sorted(f"{name}.gradcam.jpg" for name in safe)
    assert f"{folder}: 5 pictures of gradcam" in lines
    assert [line for line in lines if "bad.jpg" in line and "cannot be read" in line]
    # The picture is the map over the image as the net sees it, enlarged.
    (shown,) = classifier.shown([sources[0]], 2)
    (values,) = classifier.explain([sources[0]], batch_size=2)
    expected = overlay(shown[0], values, 256)
    found = np.asarray(Image.open(folder / "one" / "x.jpg.gradcam.jpg"))
    assert found.shape == expected.shape == (256, 256, 3)
    assert np.abs(found.astype(int) - expected).mean() < 3

    without, plain = [], tmp_path / "plain.csv"
    assert predict(classifier, [tmp_path / "data"], plain, None, without) == 1
    assert plain.read_bytes() == output.read_bytes()


def test_an_archive_that_wants_to_write_elsewhere(classifier, images, tmp_path):
    source = min((images / "test").iterdir())
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        for name in ("a/x.jpg", "b/x.jpg", "b/X.jpg"):
            archive.write(source, name)
    lines, folder = [], tmp_path / "maps"
    predict(classifier, [tmp_path / "evil.zip"], tmp_path / "p.csv", Explanation(folder, "cbam"), lines)
    found = files_of(folder)
    assert len(found) == 3
    assert found[0] == "a/x.jpg.cbam.jpg"


def test_who_is_refused(classifier, run, tmp_path):
    with pytest.raises(UsageError) as error:
        overlay_writer(classifier, Explanation(tmp_path / "data" / "x", "gradcam"), [tmp_path / "data"], [], 2)
    assert str(error.value) == (
        f"--explain: expected a folder outside of {tmp_path / 'data'}, whose images are predicted, found "
        f"{tmp_path / 'data' / 'x'}"
    )
    several = Ensemble([run, run], devices=jax.devices()[:1])
    with pytest.raises(UsageError, match="explain: expected one net, found an ensemble of 2; explain one at a time"):
        overlay_writer(several, Explanation(tmp_path, "gradcam"), [], [], 2)
