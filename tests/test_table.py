import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnext.data.table import IMAGE_COLUMNS, LABEL_COLUMNS, Column, describe_columns, read_table
from jaxnext.errors import JaxnextError, UsageError

IMAGE = Column("data.image_column", None, IMAGE_COLUMNS, "image names")
LABEL = Column("data.label_column", None, LABEL_COLUMNS, "labels")
SPLIT = Column("", None, ("split",), "splits", needed=False)


def table(path: Path, text: str | bytes, name: str = "labels.csv", *wanted: Column):
    path = path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(path, wanted or (IMAGE, LABEL, SPLIT))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain.csv", "image,label\na,01\nb,NA\n"),
        ("windows.csv", b"\xef\xbb\xbfimage,label\r\na,01\r\nb,NA\r\n"),
        ("semicolons.csv", "image;label\na;01\nb;NA"),
        ("tabs.tsv", "image\tlabel\na\t01\n\nb\tNA\n"),
        ("tabs.csv", "image\tlabel\na\t01\nb\tNA\n"),
        ("quoted.csv", '"image","label"\n"a", "01"\n"b","NA"\n'),
        ("others.csv", "n,Class,x,ID\n1,01,,a\n2,NA,,b\n"),
    ],
)
def test_ways_to_write_a_table(tmp_path: Path, name: str, text: str | bytes) -> None:
    assert table(tmp_path, text, name).columns == [["a", "b"], ["01", "NA"], None]


def test_cells_stay_text(tmp_path: Path) -> None:
    labels = ["01", "NA", "nan", "1e5", "None", "a,b", 'say "x"', "two\nlines"]
    text = io.StringIO()
    csv.writer(text).writerows([("image", "label"), *((f"{i}", label) for i, label in enumerate(labels))])
    assert table(tmp_path, text.getvalue()).columns[1] == labels


cells = st.text(st.characters(exclude_categories=["Cs"]), max_size=5).filter(lambda cell: cell == cell.lstrip(" "))


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(cells.filter(bool), cells), min_size=1, max_size=5))
def test_what_the_csv_module_writes_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([("image", "label"), *rows])
    found = table(tmp_path_factory.getbasetemp(), text.getvalue())
    assert found.columns[:2] == [[a for a, _ in rows], [b for _, b in rows]]


def test_the_guess_is_said(tmp_path: Path) -> None:
    found = table(tmp_path, "id,Image,target,split\n1,a,x,train\n")
    assert found.names == ["Image", "target", "split"]
    assert describe_columns(tmp_path / "labels.csv", found, (IMAGE, LABEL, SPLIT)) == (
        f"{tmp_path}/labels.csv: 1 rows; image names from the column Image, labels from the column target, splits from "
        "the column split (--data.image_column and --data.label_column to name another)"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a header and rows below it, found an empty file"),
        ("image,label\n", "expected rows below the header, found none"),
        (
            "a.jpg,cat\nb.jpg,dog\n",
            r"expected a column of image names \(image, .*found the columns a\.jpg, cat; ",
        ),
        (
            "image,kind\na,cat\n",
            r"expected a column of labels \(.*found the columns image, kind; name it with",
        ),
        ("image,label\na,cat\nb,dog,1\n", "expected 2 cells in each row, found 3 in row 3, 'b'"),
        ('image,label\na,"cat\n', r"line \d is not as CSV has it \("),
        (b"image,label\na,caf\xe9\n", "expected text in UTF-8, found the byte 0xe9; save it as UTF-8"),
    ],
)
def test_files_that_are_not_as_expected(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(JaxnextError, match=message):
        table(tmp_path, text)


def test_a_column_that_is_given(tmp_path: Path) -> None:
    given = Column("data.image_column", "x", (), "image names")
    assert table(tmp_path, "image,x\n1,a\n", "labels.csv", given).columns == [["a"]]
    with pytest.raises(UsageError, match=r"data\.image_column: expected one column 'x' in .*, found none among"):
        table(tmp_path, "image,y\n1,a\n", "labels.csv", given)
    with pytest.raises(UsageError, match="found 2 of them among x, x"):
        table(tmp_path, "x,x\n1,a\n", "labels.csv", given)
    with pytest.raises(JaxnextError, match="the file cannot be read"):
        read_table(tmp_path / "nowhere.csv", (given,))
    with pytest.raises(JaxnextError, match="the file cannot be read"):
        read_table(tmp_path / "null\0.csv", (given,))
