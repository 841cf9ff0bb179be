import json

import pytest
from benchmarks.report import check_destination, text_table, write_json

from jaxnext.errors import UsageError


def test_a_file_that_could_not_be_written_is_refused(tmp_path):
    check_destination(tmp_path / "new.json")
    with pytest.raises(UsageError) as error:
        check_destination(tmp_path / "none" / "new.json")
    assert str(error.value) == (
        f"--json {tmp_path}/none/new.json: expected a file in a folder that exists, found no folder {tmp_path}/none"
    )
    with pytest.raises(UsageError, match="expected the name of a file, found a folder"):
        check_destination(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_json_is_whole_or_not_there(tmp_path):
    write_json(tmp_path / "new.json", {"a": [1, None]})
    assert json.loads((tmp_path / "new.json").read_text()) == {"a": [1, None]}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "other.json", {"a": 1, "b": float("nan")})
    assert [file.name for file in tmp_path.iterdir()] == ["new.json"]


def test_table():
    assert text_table([["name", "s"], ["a", "10", "x"], ["longer"]]) == "name     s\na       10  x\nlonger"
