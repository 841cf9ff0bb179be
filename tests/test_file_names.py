import pytest

from jaxnext.data.file_names import MISSING, SEVERAL, match


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a/1.png", 0),
        ("./a/1.png", 0),
        ("a\\1.png", 0),
        ("b/4", 3),
        ("4.jpg", 3),
        ("4", 3),
        ("1.png", SEVERAL),
        ("a/9", SEVERAL),
        ("7", MISSING),
        ("b/1", 2),
    ],
)
def test_names_and_files(name: str, file: int) -> None:
    files = ["a/1.png", "a/9.jpg", "b/1.png", "b/4.jpg", "a/9.png"]
    assert match([name, "b/4.jpg"], files).tolist() == [file, 3]
