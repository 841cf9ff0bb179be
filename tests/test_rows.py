import os
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from jaxnext.data.folder_source import files_source
from jaxnext.errors import JaxnextError
from jaxnext.inference.rows import NamesTable, check_rows, row_name, rows_of


def test_two_files_that_would_share_a_name(tmp_path):
    for name in ("x.jpg", "x.png"):
        (tmp_path / name).touch()
    with pytest.raises(JaxnextError) as error:
        check_rows(files_source([tmp_path]), False)
    assert str(error.value) == (
        f"{tmp_path / 'x.jpg'} and {tmp_path / 'x.png'} would both be the row 'x'; set --keep_extension true"
    )
    check_rows(files_source([tmp_path]), True)


def test_row_names_literally():
    assert [row_name(name, False) for name in ("x.jpg", "a.b/x.y.png")] == ["x", "a.b/x.y"]
    assert row_name("a.b/x.y.png", True) == "a.b/x.y.png"


@pytest.mark.parametrize("folders", [1, 2])
def test_memory_is_that_of_the_names_and_little_more(folders, tmp_path):
    """79 bytes of a name of 30 letters, a pointer and two numbers; several times that only while folders are listed."""

    def used(count: int) -> tuple[int, int]:
        paths = [tmp_path / f"{count}_{i}" for i in range(folders)]
        for path in paths:
            path.mkdir()
            for i in range(count // folders):
                (path / f"image{path.name[-1]:.>15}{i:06d}.jpg").touch()
        tracemalloc.start()
        source = files_source(paths)
        check_rows(source, False)
        kept, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(source) == count
        return kept, most

    used(500)
    few, many = used(1000), used(6000)
    kept, most = ((after - before) / 5000 for before, after in zip(few, many, strict=True))
    assert kept < 105
    assert most < {1: 200, 2: 340}[folders]


def table(path: Path, *names: str) -> NamesTable:
    (path / "sample.csv").write_text("".join(f"{name},0\n" for name in ("id", *names)))
    return NamesTable(path / "sample.csv")


def test_rows_of_a_table(tmp_path: Path) -> None:
    for name in ("in/a/1.png", "in/b/1.png", "in/2.jpg", "in/3.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    lines: list[str] = []
    rows = rows_of([tmp_path / "in"], table(tmp_path, "3", "b/1.png", "2.jpg", "3"), False, lines.append)
    assert [rows.name(i) for i in range(4)] == ["3", "b/1.png", "2.jpg", "3"]
    assert [rows.source.read(i) for i in range(4)] == [b"in/3.jpg", b"in/b/1.png", b"in/2.jpg", b"in/3.jpg"]
    for names, said in ((("7", "8", "2"), "2 of 3 that are not there: 7, 8"), (("1",), "1 of 1 that could be several")):
        with pytest.raises(JaxnextError, match=f"expected names of images in .*/in, found {said}"):
            rows_of([tmp_path / "in"], table(tmp_path, *names), False, lines.append)
    assert lines == []


def test_rows_of_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        for name in ("b.png", "a.png", "notes.txt"):
            file.writestr(name, name)
    lines: list[str] = []
    rows = rows_of([tmp_path / "x.zip"], None, False, lines.append)
    assert [(rows.name(i), rows.source.read(i)) for i in range(2)] == [("a", b"a.png"), ("b", b"b.png")]
    assert lines == ["left out 1 entry that is hidden or no image (.txt 1)"]
    for name in ("folder/c.png", "single.png", "w.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    data = [tmp_path / "x.zip", tmp_path / "single.png", tmp_path / "folder"]
    rows = rows_of(data, None, False, lines.append)
    found = [(rows.name(i), rows.source.read(i)) for i in range(len(rows.source))]
    assert found == [("c", b"folder/c.png"), ("single", b"single.png"), ("a", b"a.png"), ("b", b"b.png")]
    rows = rows_of(data, table(tmp_path, "b", "c"), False, lines.append)
    assert [rows.source.read(i) for i in range(2)] == [b"b.png", b"folder/c.png"]
    with pytest.raises(JaxnextError, match=r"x\.zip/a\.png and .*/x\.zip/a\.png would both be the row 'a'"):
        rows_of([tmp_path / "x.zip", tmp_path / "x.zip"], None, False, lines.append)


def test_a_name_that_is_not_utf_8_has_no_row(tmp_path: Path) -> None:
    for name in (os.fsdecode(b"caf\xe9.jpg"), "a.jpg"):
        (tmp_path / name).touch()
    rows = rows_of([tmp_path], None, True, print)
    assert [rows.name(i) for i in range(len(rows.source))] == ["a.jpg"]
    assert [image.reason for image in rows.failed] == ["its name is not UTF-8; rename it"]
