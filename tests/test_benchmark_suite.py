"""The loop over the parts, with a stand-in for the processes."""

import json
import subprocess
from types import SimpleNamespace

import pytest
from benchmarks import command, suite

MACHINE = {"cpu": "Some CPU", "cores": 2, "gpu": None, "driver": None, "versions": {"jax": "1.2", "timm": None}}
WAIT = {"command": "footprint", "part": "wait", "machine": MACHINE, "figures": {"data_wait_fraction": 0.125}}


@pytest.fixture
def started(monkeypatch) -> list[list[str]]:
    """The words of each process; those of ``data`` fail."""
    seen: list[list[str]] = []

    def run(words, check):
        seen.append(words[2:-2])
        assert words[-2] == "--json"
        if words[2] == "data":
            return SimpleNamespace(returncode=1)
        with open(words[-1], "w") as file:  # noqa: PTH123 - as a process would
            json.dump(WAIT, file)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    return seen


def test_parts_go_into_one_file_and_one_table(started, tmp_path, capsys):
    file = tmp_path / "s.json"
    assert command.main(["suite", "footprint --part wait", "data --images 9", "--json", str(file)]) == 1
    assert started == [["footprint", "--part", "wait"], ["data", "--images", "9"]]
    written = json.loads(file.read_text())
    assert written["parts"] == {"footprint --part wait": WAIT}
    assert written["failed"] == ["data --images 9"]
    out, err = capsys.readouterr()
    assert out.splitlines()[2:] == [
        "Some CPU, 2 cores",
        "jax 1.2",
        "",
        "part",
        "footprint --part wait  data_wait_fraction  0.125",
    ]
    assert err.splitlines()[-1] == "error: not measured, for the reasons above: data --images 9"


def test_everything_is_measured_by_default(started):
    options = command.parse(["suite"])
    suite.run(options, lambda line: None)
    parts = [" ".join(words) for words in started]
    assert parts[:3] == ["model", "grouped_conv", "data"]
    assert parts[3:] == [f"footprint --part {name}" for name in ("listing", "cache", "predict", "wait")]
