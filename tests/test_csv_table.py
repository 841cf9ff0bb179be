import csv
import os
from pathlib import Path

import pytest

from jaxnext.errors import JaxnextError
from jaxnext.reporting.csv_table import shown_as_text, write_table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=cmd", "'=cmd"),
        ("@sum(a)", "'@sum(a)"),
        ("-a", "'-a"),
        ("+", "'+"),
        ("\tx", "'\tx"),
        ("'=a", "''=a"),
        ("'a'", "'a'"),
        ("a=b", "a=b"),
        ("-1", "-1"),
        ("+1.5e3", "+1.5e3"),
        ("-1+2", "'-1+2"),
        ("", ""),
    ],
)
def test_formulas_are_text(text: str, shown: str) -> None:
    assert shown_as_text(text) == shown


def test_a_table_literally(tmp_path: Path) -> None:
    rows = [["=1+1", 3, 0.1 + 0.2], ['a,"b"', -1, float("nan")], [os.fsdecode(b"\xe9"), 0, -2.5], ["\r", 1, 1.0]]
    write_table(tmp_path / "new" / "t.csv", ["@x", "n", "p"], rows)
    assert (tmp_path / "new" / "t.csv").read_bytes() == (
        b"'@x,n,p\n'=1+1,3,0.3\n" + b'"a,""b""",-1,\n' + b"\xe9,0,-2.5\n" + b'"\'\r","1","1"\n'
    )
    with (tmp_path / "new" / "t.csv").open(newline="", encoding="latin-1") as file:
        assert len(list(csv.reader(file))) == 5


def test_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JaxnextError, match=r"t\.csv: the file cannot be written"):
        write_table(tmp_path / "file" / "t.csv", ["a"], [])
