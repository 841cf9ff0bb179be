from pathlib import Path

import pytest

from jaxnext.atomic import whole_file, whole_folder
from jaxnext.errors import JaxnextError


def test_text_keeps_its_line_ends_and_leaves_one_file(tmp_path):
    with whole_file(tmp_path / "new" / "a.csv") as file:
        file.write("ä\r\nb\n")
        assert not (tmp_path / "new" / "a.csv").exists()
    assert (tmp_path / "new" / "a.csv").read_bytes() == b"\xc3\xa4\r\nb\n"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.csv"]


def test_bytes_replace_the_file_before(tmp_path):
    (tmp_path / "a").write_bytes(b"before")
    with whole_file(tmp_path / "a", "wb") as file:
        file.write(b"after")
        assert (tmp_path / "a").read_bytes() == b"before"
    assert (tmp_path / "a").read_bytes() == b"after"


def test_a_block_that_fails_leaves_the_file_before(tmp_path):
    (tmp_path / "a").write_text("before")

    def write():
        with whole_file(tmp_path / "a") as file:
            file.write("half")
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        write()
    assert (tmp_path / "a").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("path", [Path(), Path("/tmp")])
def test_a_folder_is_no_file(path):
    with pytest.raises(JaxnextError, match="expected the name of a file, found a folder"), whole_file(path):
        pytest.fail("the block was entered")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    def write():
        with whole_file(tmp_path / "file" / "a"):
            pass

    with pytest.raises(JaxnextError) as error:
        write()
    assert str(error.value) == f"{tmp_path / 'file' / 'a'}: the file cannot be written (File exists)"


def test_a_name_that_is_too_long_is_a_sentence(tmp_path):
    def write():
        with whole_file(tmp_path / ("a" * 300)):
            pass

    with pytest.raises(JaxnextError, match=r"a{300}: the file cannot be written \(File name too long\)"):
        write()


def test_a_folder_appears_whole_and_replaces_an_empty_one(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / ".a.part").mkdir()
    (tmp_path / ".a.part" / "old").touch()
    with whole_folder(tmp_path / "a", "the net") as folder:
        assert list(folder.iterdir()) == []
        (folder / "x").write_text("1")
        assert list((tmp_path / "a").iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a" / "x").read_text() == "1"


def test_a_block_that_fails_leaves_no_folder(tmp_path):
    def write():
        with whole_folder(tmp_path / "b" / "a", "the net") as folder:
            (folder / "x").touch()
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        write()
    assert list((tmp_path / "b").iterdir()) == []


def test_a_folder_that_holds_something_is_not_replaced(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine").touch()
    with pytest.raises(JaxnextError) as error, whole_folder(tmp_path / "a", "the net"):
        pass
    assert str(error.value) == f"{tmp_path}/a: the net cannot be written (Directory not empty)"
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "mine"]
