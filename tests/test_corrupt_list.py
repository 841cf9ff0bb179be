import os
from pathlib import Path

import pytest

from jaxnext.data.bad_image import BadImage
from jaxnext.data.corrupt_list import check_corrupt, read_corrupt, write_corrupt
from jaxnext.errors import JaxnextError


def test_the_list_of_corrupt_images(tmp_path: Path) -> None:
    file = tmp_path / "corrupt.csv"
    write_corrupt(file, [BadImage("a,b.jpg", "the file is empty"), BadImage("\udcff.png", "truncated")])
    assert file.read_bytes() == b'path,error\n"a,b.jpg",the file is empty\n\xff.png,truncated\n'
    write_corrupt(file, [])
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_list_of_corrupt_images_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "corrupt.csv"
    file.write_text("path,error,who\n")
    write_corrupt(file, [])
    with pytest.raises(JaxnextError) as caught:
        write_corrupt(file, [BadImage("a.jpg", "truncated")])
    assert str(caught.value) == (
        f"{file}: expected no file, or a list of corrupt images with the columns path,error, found another file; move "
        "it away"
    )
    assert file.read_text() == "path,error,who\n"


def test_every_name_is_read_as_it_was_written(tmp_path: Path) -> None:
    names = ["a,b", 'the "end"', "\u2028\x0b\x85\x1c", "one\ntwo", "a\rb", "\rc", "d\r", os.fsdecode(b"caf\xe9")]
    images = [BadImage(name, "broken") for name in names]
    write_corrupt(tmp_path / "corrupt.csv", images)
    assert read_corrupt(tmp_path / "corrupt.csv") == images


def test_a_list_saved_on_windows(tmp_path: Path) -> None:
    file = tmp_path / "corrupt.csv"
    file.write_bytes(b"\xef\xbb\xbfpath,error\r\na.jpg,broken\r\n\xff.jpg,x\r\n")
    assert read_corrupt(file) == [("a.jpg", "broken"), ("\udcff.jpg", "x")]
    check_corrupt(file)
    write_corrupt(file, [])
    assert not file.exists()


@pytest.mark.parametrize("text", ["", "name,why\na,b\n", "path,error\na\n"])
def test_a_list_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "corrupt.csv").write_text(text)
    with pytest.raises(JaxnextError) as error:
        read_corrupt(tmp_path / "corrupt.csv")
    assert str(error.value) == (
        f"{tmp_path}/corrupt.csv: expected a CSV file with the columns path,error, found another; move it away"
    )
