import dataclasses
import json
from pathlib import Path

import pytest
from reported import facts

from jaxnext.config.yaml_text import dump_config
from jaxnext.data.corrupt_list import write_corrupt
from jaxnext.errors import JaxnextError
from jaxnext.reporting.run_facts import RunFacts, read_run


def written(folder: Path) -> RunFacts:
    expected = facts()
    (folder / "config.yaml").write_text(dump_config(expected.config))
    (folder / "run.json").write_text(json.dumps(expected.description))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in expected.history))
    write_corrupt(folder / "corrupt.csv", expected.corrupt)
    return expected


def test_what_a_run_wrote(tmp_path: Path) -> None:
    expected = written(tmp_path)
    assert dataclasses.asdict(read_run(tmp_path)) == dataclasses.asdict(expected)
    (tmp_path / "corrupt.csv").unlink()
    assert read_run(tmp_path).corrupt == ()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("metrics.jsonl", None, "expected a file of a finished epoch of a run, found none (No such file or directory)"),
        ("metrics.jsonl", "", "expected the records of a run's epochs, found none"),
        ("metrics.jsonl", "{", "expected JSON, as a run writes it, found '{'"),
        ("run.json", "[]", "expected a JSON object, as a run writes it, found '[]'"),
        ("run.json", "\xe9", "expected a file of a finished epoch of a run, found none (not UTF-8)"),
    ],
)
def test_what_is_no_runs(tmp_path: Path, name: str, content: str | None, sentence: str) -> None:
    written(tmp_path)
    (tmp_path / name).unlink() if content is None else (tmp_path / name).write_text(content, encoding="latin-1")
    with pytest.raises(JaxnextError) as error:
        read_run(tmp_path)
    assert str(error.value) == f"{tmp_path / name}: {sentence}"


def test_a_record_without_a_loss(tmp_path: Path) -> None:
    expected = written(tmp_path)
    record = {name: value for name, value in expected.history[0].items() if name not in ("val_loss", "seconds")}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(record))
    with pytest.raises(JaxnextError, match=r"metrics\.jsonl: expected seconds, val_loss in every record, found \{"):
        read_run(tmp_path)
