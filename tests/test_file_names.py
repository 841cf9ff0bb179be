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


def test_forms_that_no_name_has_are_left_out_and_none_else() -> None:
    files = ["a/1.png", "a/b.c.png", "top.jpg", "a\\2.png", "b/2.png"]
    assert match(["1"], files).tolist() == [0]
    assert match(["b.c", "top", "./top.jpg"], files).tolist() == [1, 2, 2]
    assert match(["top"], files).tolist() == [2]
    # A file of this very name comes before the one whose path it would be elsewhere.
    assert match(["a\\2.png", "b\\2.png"], files).tolist() == [3, 4]
    assert match(["1.png", "2"], []).tolist() == [MISSING, MISSING]
