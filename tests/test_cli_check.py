from pathlib import Path

import pytest
from inspected import encoded, picture

from jaxnext.cli.check import parse
from jaxnext.cli.check import run as run_command
from jaxnext.cli.invocation import Invocation
from jaxnext.config.packaged import configs_folder
from jaxnext.errors import UsageError

INSTALLED, CONFIGS = Invocation(), configs_folder()


def test_options() -> None:
    arguments = parse(["images"], INSTALLED, CONFIGS)
    assert (arguments.config.data.path, arguments.config.seed, arguments.output) == ("images", 0, None)
    more = "--data.path [a,b.zip] --data.val_fraction 0.5 --data.orientation stored --seed 3 --output check.html"
    arguments = parse(more.split(), INSTALLED, CONFIGS)
    assert (arguments.config.data.path, arguments.config.data.val_fraction) == (("a", "b.zip"), 0.5)
    assert (arguments.config.data.orientation, arguments.config.seed) == ("stored", 3)
    assert arguments.output == Path("check.html")
    labels = "images --data.labels labels.csv --data.group_column patient --data.folds 5 --data.fold 1"
    data = parse(labels.split(), INSTALLED, CONFIGS).config.data
    assert (data.labels, data.group_column, data.folds, data.fold) == ("labels.csv", "patient", 5, 1)
    assert parse(["--config", "quickstart"], INSTALLED, CONFIGS).config.data.source.type == "digits"


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ("a --data.path b", "DATA: expected no value with --data.path, which is the same, found a"),
        ("a b", "unexpected argument 'b'"),
        ("a --data.cache disk", "unknown option --data.cache; did you mean --data.path?"),
        ("a --data.share 2", "data.share: expected a share above 0 and at most 1, found 2.0"),
        ("a --output .", "--output: expected the name of a file, found the folder ."),
    ],
)
def test_mistakes(argv: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(argv.split(), INSTALLED, CONFIGS)
    assert str(caught.value) == sentence


def test_from_folder_to_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for number, name in enumerate(("train/cat/0", "train/cat/1", "train/dog/2", "val/cat/3", "val/dog/4")):
        file = tmp_path / "pets" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded(picture(number)))
    assert run_command([str(tmp_path / "pets")], INSTALLED) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[0] == (
        f"{tmp_path}/pets/train: 3 images of 2 classes for training; {tmp_path}/pets/val: 2 for validation"
    )
    assert shown.out.splitlines()[-1] == "nothing wrong found in 5 images"
    assert shown.err == ""
    (tmp_path / "pets/val/cat/3.png").write_bytes(encoded(picture(0)))
    page = tmp_path / "check.html"
    assert run_command([str(tmp_path / "pets"), "--output", str(page)], INSTALLED) == 1
    assert capsys.readouterr().out.splitlines()[-6:] == [
        "the same file, in training and in validation:",
        f"  {tmp_path}/pets/train/cat/0.png (training, cat)",
        f"  {tmp_path}/pets/val/cat/3.png (validation, cat)",
        "duplicates: 1 in 1 groups of images that are the same or nearly",
        "wrong: groups of duplicates in training and in validation: 1",
        f"{page}: the page with thumbnails",
    ]
    assert page.read_text().startswith("<!DOCTYPE html>")
