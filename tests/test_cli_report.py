from pathlib import Path
from unittest.mock import create_autospec

import pytest

from jaxnext.cli import report as command
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.report import Arguments, parse
from jaxnext.errors import UsageError
from jaxnext.inference import classifier
from jaxnext.inference import report as inference
from jaxnext.reporting import run_facts

INSTALLED = Invocation()


def test_options() -> None:
    assert parse(["run"], INSTALLED) == Arguments(
        checkpoint=[Path("run")],
        which="best",
        output=Path("report.html"),
        batch_size=16,
        workers=None,
        compilation_cache=None,
    )
    found = parse(
        ["run", "--output", "a.html", "--batch_size", "3", "--workers", "1", "--compilation_cache", "false"], INSTALLED
    )
    assert (found.output, found.batch_size, found.workers, found.compilation_cache) == (Path("a.html"), 3, 1, False)


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^RUN is missing: give the folder of a run$"):
        parse([], INSTALLED)
    with pytest.raises(UsageError, match=r"^--batch_size: expected at least 1, found 0$"):
        parse(["run", "--batch_size", "0"], INSTALLED)
    with pytest.raises(UsageError) as error:
        parse(["run", "--output", str(tmp_path)], INSTALLED)
    assert str(error.value) == f"--output: expected the name of a file, found the folder {tmp_path}"


def test_it_writes_the_page(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    trained = create_autospec(classifier.TrainedClassifier)
    trained.return_value.members = ("the net",)
    write = create_autospec(inference.write_report)
    read = create_autospec(run_facts.read_run)
    monkeypatch.setattr(classifier, "TrainedClassifier", trained)
    monkeypatch.setattr(inference, "write_report", write)
    monkeypatch.setattr(run_facts, "read_run", read)
    monkeypatch.chdir(tmp_path)
    assert command.run([".", "--output", "r.html"], INSTALLED) == 0
    assert trained.call_args.args == (Path(), "best")
    assert write.call_args.args == ("the net", read.return_value, tmp_path.name, Path("r.html"))
    assert capsys.readouterr().out == "r.html: the report\n"
