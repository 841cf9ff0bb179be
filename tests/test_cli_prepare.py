import csv
from pathlib import Path

import pytest
from packed_images import write_folder

from jaxnext.cli.invocation import Invocation
from jaxnext.cli.prepare import parse
from jaxnext.cli.prepare import run as run_command
from jaxnext.config.sections import DataConfig
from jaxnext.errors import UsageError

INSTALLED = Invocation()


def test_options() -> None:
    arguments = parse(["images", "--output", "out"], INSTALLED)
    assert (arguments.data, arguments.output) == (DataConfig(path="images"), Path("out"))
    assert (arguments.resized, arguments.name, arguments.on_corrupt) == (False, None, "stop")
    more = "--image_size [48,64] --data.resize pad --data.orientation stored --name flowers --on_corrupt skip"
    arguments = parse(["images", "--output=out", *more.split()], INSTALLED)
    assert arguments.data == DataConfig(path="images", image_size=(48, 64), resize="pad", orientation="stored")
    assert (arguments.resized, arguments.name, arguments.on_corrupt) == (True, "flowers", "skip")
    labelled = ["--data.path", "[a,b.zip]", "--data.labels", "x.csv", "--data.label_column", "kind", "--output", "out"]
    assert parse(labelled, INSTALLED).data == DataConfig(path=("a", "b.zip"), labels="x.csv", label_column="kind")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ("--output out", "DATA is missing: give the folder with train/, or of class folders"),
        ("images", "--output is missing: give the folder that receives the data set"),
        ("images --output=", "--output: expected a value, found an empty one"),
        ("images --output out --image_size 0", "--image_size: expected at least 1 pixel, found 0"),
        (
            "images --output out --data.resize pad",
            "--data.resize: expected no value without --image_size, since the files are then kept as they are, "
            "found 'pad'",
        ),
        ("images --output out --on_corrupt no", "--on_corrupt: expected one of stop, skip, found 'no'"),
        ("images --output out --imagesize 3", "unknown option --imagesize; did you mean --image_size?"),
    ],
)
def test_mistakes(argv: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(argv.split(), INSTALLED)
    assert str(caught.value) == sentence


def test_corrupt_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_folder(tmp_path / "images", {"train": 2})
    bad = root / "train/2/bad.jpg"
    bad.write_bytes(b"")
    out, place = tmp_path / "out", tmp_path / "out/images/1.0.0"
    assert run_command([str(root), "--output", str(out)], INSTALLED) == 1
    shown = capsys.readouterr()
    assert shown.out == f"{root}/train: 7 images of 3 classes\n"
    assert shown.err.splitlines() == [
        f"{bad}: the image cannot be read (the file is empty)",
        f"{place}: not finished: images that cannot be read, listed in {out}/images.corrupt.csv: 1; mend or remove "
        "them, or leave them out with --on_corrupt skip; the shards packed so far are kept",
    ]
    listed = [["path", "error"], [str(bad), "the file is empty"]]
    with (out / "images.corrupt.csv").open(newline="") as file:
        assert list(csv.reader(file)) == listed
    assert run_command([str(root), "--output", str(out), "--on_corrupt", "skip"], INSTALLED) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[-1] == f"{place}: ready; train on it with --data.source tfds --data.path {place}"
    assert shown.err.splitlines()[-1] == f"{out}/images.corrupt.csv: images that cannot be read and are left out: 1"
    # The list stays true of the finished data set.
    assert run_command([str(root), "--output", str(out)], INSTALLED) == 0
    with (out / "images.corrupt.csv").open(newline="") as file:
        assert list(csv.reader(file)) == listed


def test_the_list_of_one_data_set_is_no_business_of_another(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("one", "two"):
        root = write_folder(tmp_path / name, {"train": 2})
        (root / "train/2/bad.jpg").write_bytes(b"")
        assert run_command([str(root), "--output", str(out)], INSTALLED) == 1
    (out / "corrupt.csv").write_text("mine")
    (tmp_path / "two/train/2/bad.jpg").unlink()
    assert run_command([str(tmp_path / "two"), "--output", str(out)], INSTALLED) == 0
    assert sorted(path.name for path in out.iterdir()) == ["corrupt.csv", "one", "one.corrupt.csv", "two"]
    assert (out / "corrupt.csv").read_text() == "mine"
    assert (out / "one.corrupt.csv").read_text() == f"path,error\n{tmp_path}/one/train/2/bad.jpg,the file is empty\n"
