from pathlib import Path

import pytest

from jaxnext.errors import JaxnextError
from jaxnext.files import sha256, whole_file, write_corrupt


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


def test_the_list_of_corrupt_images(tmp_path: Path) -> None:
    file = tmp_path / "corrupt.csv"
    write_corrupt(file, [("a,b.jpg", "the file is empty"), ("\udcff.png", "truncated")])
    assert file.read_bytes() == b'path,error\n"a,b.jpg",the file is empty\n\xff.png,truncated\n'
    write_corrupt(file, [])
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_list_of_corrupt_images_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "corrupt.csv"
    file.write_text("path,error,who\n")
    write_corrupt(file, [])
    with pytest.raises(JaxnextError) as caught:
        write_corrupt(file, [("a.jpg", "truncated")])
    assert str(caught.value) == (
        f"{file}: expected no file, or a list of corrupt images with the columns path,error, found another file; move "
        "it away"
    )
    assert file.read_text() == "path,error,who\n"


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
