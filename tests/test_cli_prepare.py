import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from packed_images import write_folder

from jaxnext.cli.prepare import parse_prepare_data, prepare_data
from jaxnext.errors import UsageError

ROOT = Path(__file__).resolve().parent.parent


def test_options() -> None:
    arguments = parse_prepare_data(["images", "--output", "out"])
    assert (arguments.folder, arguments.output) == (Path("images"), Path("out"))
    assert (arguments.image_size, arguments.name, arguments.on_corrupt) == (None, None, "stop")
    more = "--image_size 64 --name flowers --on_corrupt skip"
    arguments = parse_prepare_data(["images", "--output=out", *more.split()])
    assert (arguments.image_size, arguments.name, arguments.on_corrupt) == (64, "flowers", "skip")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ("--output out", "FOLDER is missing: give the folder with train/, or of class folders"),
        ("images", "--output is missing: give the folder that receives the data set"),
        ("images --output out --image_size 0", "--image_size: expected at least 1, found 0"),
        ("images --output out --on_corrupt no", "--on_corrupt: expected one of stop, skip, found 'no'"),
        ("images --output out --imagesize 3", "unknown option --imagesize; did you mean --image_size?"),
    ],
)
def test_mistakes(argv: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_prepare_data(argv.split())
    assert str(caught.value) == sentence


def test_corrupt_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_folder(tmp_path / "images", {"train": 2})
    bad = root / "train/2/bad.jpg"
    bad.write_bytes(b"")
    out, place = tmp_path / "out", tmp_path / "out/images/1.0.0"
    assert prepare_data([str(root), "--output", str(out)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        f"{bad}: the image cannot be read (the file is empty)",
        f"{place}: not finished: images that cannot be read, listed in {out}/images.corrupt.csv: 1; mend or remove "
        "them, or leave them out with --on_corrupt skip; the shards packed so far are kept",
    ]
    listed = [["path", "error"], [str(bad), "the file is empty"]]
    with (out / "images.corrupt.csv").open(newline="") as file:
        assert list(csv.reader(file)) == listed
    assert prepare_data([str(root), "--output", str(out), "--on_corrupt", "skip"]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[-1] == f"{place}: ready; train on it with --data.source tfds --data.path {place}"
    assert shown.err.splitlines()[-1] == f"{out}/images.corrupt.csv: images that cannot be read and are left out: 1"
    # The list stays true of the finished data set.
    assert prepare_data([str(root), "--output", str(out)]) == 0
    with (out / "images.corrupt.csv").open(newline="") as file:
        assert list(csv.reader(file)) == listed


def test_the_list_of_one_data_set_is_no_business_of_another(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("one", "two"):
        root = write_folder(tmp_path / name, {"train": 2})
        (root / "train/2/bad.jpg").write_bytes(b"")
        assert prepare_data([str(root), "--output", str(out)]) == 1
    (out / "corrupt.csv").write_text("mine")
    (tmp_path / "two/train/2/bad.jpg").unlink()
    assert prepare_data([str(tmp_path / "two"), "--output", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["corrupt.csv", "one", "one.corrupt.csv", "two"]
    assert (out / "corrupt.csv").read_text() == "mine"
    assert (out / "one.corrupt.csv").read_text() == f"path,error\n{tmp_path}/one/train/2/bad.jpg,the file is empty\n"


def test_the_script(tmp_path: Path) -> None:
    write_folder(tmp_path / "images", {"train": 1})
    script = [sys.executable, str(ROOT / "scripts/prepare_data.py")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*script, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100
        )

    done = run("images", "--output", "out", "--image_size", "8")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "out/images/1.0.0: ready; train on it with --data.source tfds --data.path out/images/1.0.0\n"
    refused = run("nowhere", "--output", "out")
    assert (refused.returncode, refused.stdout, refused.stderr) == (1, "", "error: nowhere: no such folder\n")
    refused = run("images")
    assert (refused.returncode, refused.stderr[:29]) == (2, "error: --output is missing: g")


def test_help_loads_neither_tfds_nor_jax() -> None:
    code = (
        "import sys\nfrom jaxnext import cli_prepare\n"
        "try:\n    cli_prepare.prepare_data(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr.split()
    assert not {"tensorflow_datasets", "array_record", "jax", "PIL"} & set(loaded)
