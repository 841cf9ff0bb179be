from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnext.data.index_file import IndexFile

NAMES = ["", "a/b.png", "\udcff", "é"]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    lines: list[str] = []
    file = IndexFile(tmp_path / "store", "a key", "labels of x")
    assert file.read(lines) is None
    file.write({"labels": np.array([3, 1], np.int32)}, {"names": NAMES, "none": []}, lines)
    found = IndexFile(tmp_path / "store", "a key", "labels of x").read(lines)
    assert found is not None
    arrays, names = found
    assert list(arrays) == ["labels"]
    assert arrays["labels"].tolist() == [3, 1]
    assert arrays["labels"].dtype == np.int32
    assert names == {"names": NAMES, "none": []}
    assert lines == []
    assert [path.suffix for path in (tmp_path / "store").iterdir()] == [".npz"]
    assert IndexFile(tmp_path / "store", "another key", "labels of y").read(lines) is None


def test_a_foreign_file_is_one_line(tmp_path: Path) -> None:
    lines: list[str] = []
    one, other = IndexFile(tmp_path, "one", "labels of x"), IndexFile(tmp_path, "other", "labels of y")
    one.write({}, {}, lines)
    one.path.rename(other.path)
    assert other.read(lines) is None
    assert lines == [
        f"{other.path}: labels of y: the file cannot be used (it is about something else, or of another version) and "
        "is made anew"
    ]


def test_time_is_that_of_the_file_system(tmp_path: Path) -> None:
    file = IndexFile(tmp_path / "store", "a key", "labels of x")
    (tmp_path / "before").touch()
    now = file.time()
    (tmp_path / "after").touch()
    assert isinstance(now, int)
    # The kernel's clock for files advances by ticks of milliseconds.
    assert (tmp_path / "before").stat().st_mtime_ns <= now <= (tmp_path / "after").stat().st_mtime_ns
    assert list((tmp_path / "store").iterdir()) == []
    (tmp_path / "file").touch()
    assert isinstance(IndexFile(tmp_path / "file", "a key", "labels of x").time(), OSError)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))))
def test_any_names(tmp_path_factory, names: list[str]) -> None:
    lines: list[str] = []
    file = IndexFile(tmp_path_factory.mktemp("store"), "key", "names")
    file.write({}, {"names": names}, lines)
    assert file.read(lines) == ({}, {"names": names})
    assert lines == []
