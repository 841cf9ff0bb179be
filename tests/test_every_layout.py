"""The same images in every layout: the same examples in the same order, the same losses, the same report, resumed or
not, by one process or two."""

from pathlib import Path

import pytest
import small_run
from inspected import encoded, picture
from layouts import LAYOUTS, written
from small_run import assert_same_model, fit_with, metrics, stop_after, without_times

from jaxnext.cli import check
from jaxnext.cli.invocation import Invocation
from jaxnext.config.sections import DataConfig
from jaxnext.data.image_source import ImageSource
from jaxnext.data.splits import load_splits

QUICK = [pytest.param(name, marks=[pytest.mark.slow] * (name == "parquet")) for name in LAYOUTS]
"""The library that reads Parquet takes seconds to import."""


def examples(source: ImageSource) -> list[tuple[bytes, str]]:
    return [(source.read(i), source.classes[label]) for i, label in enumerate(source.labels.tolist())]


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Five images of two classes, one of them also for validation and as another class."""
    for number, name in enumerate(("train/cat/0", "train/cat/1", "train/dog/2", "val/cat/3", "val/dog/0")):
        file = tmp_path / "pets" / f"{name}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded(picture(0 if file.stem == "0" else number), "JPEG"))
    return tmp_path / "pets"


@pytest.mark.parametrize("layout", QUICK)
def test_the_examples_and_their_order(layout: str, pets: Path, tmp_path: Path) -> None:
    expected = load_splits(DataConfig(path=str(pets)), 0)
    found = load_splits(DataConfig(**written(layout, pets, tmp_path / layout)), 0)
    assert found.classes == expected.classes == ("cat", "dog")
    assert examples(found.train) == examples(expected.train)
    assert examples(found.validation) == examples(expected.validation)


def options(settings: dict[str, object]) -> list[str]:
    return [f"--data.{key}={getattr(value, 'type', value)}" for key, value in settings.items()]


@pytest.mark.parametrize("layout", QUICK)
def test_what_check_finds(
    layout: str, pets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    page = tmp_path / "check.html"
    command = [*options(written(layout, pets, tmp_path / layout)), f"--output={page}"]
    assert check.run(command, Invocation()) == 1
    shown = capsys.readouterr().out.splitlines()
    begin = shown.index("the same file, in training and in validation, with different labels:")
    ends = [line[line.rindex("(") :] for line in shown[begin + 1 : begin + 3]]
    assert ends == ["(training, cat)", "(validation, dog)"]
    assert shown[-3:] == [
        "wrong: groups of duplicates in training and in validation: 1",
        "wrong: groups of duplicates with different labels: 1",
        f"{page}: the page with thumbnails",
    ]
    assert page.read_text().startswith("<!DOCTYPE html>")


@pytest.fixture(scope="module")
def whole(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the folder, of two epochs, never interrupted."""
    output = tmp_path_factory.mktemp("whole")
    fit_with(output, images, [])
    return output


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_losses_and_weights_also_of_a_run_that_is_resumed(
    layout: str, images: Path, whole: Path, tmp_path: Path
) -> None:
    changes = written(layout, images, tmp_path / layout)
    path = Path(changes.pop("path"))
    stopped = fit_with(tmp_path / "r", path, [], stop=stop_after(6), **changes)
    assert 0 < stopped.position < small_run.TRAIN_STEPS
    fit_with(tmp_path / "r", path, [], resume=True, **changes)
    assert without_times(metrics(tmp_path / "r")) == without_times(metrics(whole))
    assert_same_model(tmp_path / "r", whole)


@pytest.mark.slow
@pytest.mark.parametrize("balance", ["oversample", "weights"])
def test_balanced_epochs_are_resumed_bit_for_bit(balance: str, images: Path, tmp_path: Path) -> None:
    changes = written("csv", images, tmp_path / "csv")
    labels, path = Path(changes["labels"]), Path(changes["path"])
    # Of the first class one image in four is left, of all others all.
    rows = labels.read_text().splitlines()
    rare = [row for row in rows if row.startswith("train-0-")]
    labels.write_text("\n".join(row for row in rows if row not in rare[2:]))
    options = {"labels": str(labels), "balance": balance}
    # An epoch has 96 examples where each class counts as the largest, and 90 where there are as many draws as images.
    whole = fit_with(tmp_path / "whole", path, [], **options)
    assert whole.position == 2 * ({"oversample": 10, "weights": 9}[balance] + small_run.VAL_STEPS)
    fit_with(tmp_path / "r", path, [], stop=stop_after(18), **options)
    fit_with(tmp_path / "r", path, [], resume=True, **options)
    assert without_times(metrics(tmp_path / "r")) == without_times(metrics(tmp_path / "whole"))
    assert_same_model(tmp_path / "r", tmp_path / "whole")
