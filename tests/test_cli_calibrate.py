import shutil
from pathlib import Path

import pytest

from jaxnext.cli import calibrate
from jaxnext.cli.calibrate import Arguments, parse
from jaxnext.cli.invocation import Invocation
from jaxnext.errors import UsageError
from jaxnext.inference.tta import NO_TTA

INSTALLED = Invocation()


def test_defaults() -> None:
    assert parse(["runs/a"], INSTALLED) == Arguments(
        checkpoint=[Path("runs/a")],
        which="best",
        batch_size=16,
        workers=None,
        compilation_cache=None,
        data=None,
        accuracy=None,
        other=None,
        tta=NO_TTA,
    )


def test_options() -> None:
    options = ["--accuracy", "0.99", "--other", "b", "c", "--data", "d", "--tta", "flips", "--which", "last"]
    found = parse(["runs/a", *options], INSTALLED)
    assert (found.accuracy, found.other, found.data) == (0.99, [Path("b"), Path("c")], [Path("d")])
    assert (found.tta.type, found.which) == ("flips", "last")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "RUN is missing: give the folder of a run or of a ported checkpoint"),
        (["x", "--accuracy", "0"], "--accuracy: expected a share above 0 and at most 1, found 0.0"),
        (["x", "--accuracy", "99"], "--accuracy: expected a share above 0 and at most 1, found 99.0"),
        (["x", "--other", ""], "--other: expected a path, found an empty one"),
        (["x", "--temperature", "2"], "unknown option --temperature; did you mean --tta.type?"),
    ],
)
def test_mistakes(argv: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(argv, INSTALLED)
    assert str(error.value) == sentence


def test_a_whole_command(run, images, tmp_path, capsys) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    for wrong, right in (("0", "1"), ("1", "0")):
        shutil.copytree(images / "val" / right, tmp_path / "data" / wrong)
    options = ["--data", str(tmp_path / "data"), "--workers", "0", "--compilation_cache", "false"]
    assert calibrate.run([str(folder), *options], INSTALLED) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{folder / 'calibration.json'}: what was found"
