from pathlib import Path

import pytest

from jaxnext.data.listing import describe_left_out, image_extensions, is_image, list_images
from jaxnext.errors import JaxnextError


@pytest.mark.parametrize("name", ["a.jpg", "A.JPEG", "x.y.png", "a.webp", "a.tif", "deep/a.gif", "a.bmp", "a.ppm"])
def test_images(name: str) -> None:
    assert is_image(name)


@pytest.mark.parametrize(
    "name",
    [
        ".a.jpg",
        "a",
        "a.txt",
        "jpg",
        ".jpg",
        "a.jpg.txt",
        "a.h5",
        "a.mpg",
        "a.wmf",
        "a.pdf",
        "a.eps",
        "a.ps",
        "a.npy",
        "d/.a.png",
    ],
)
def test_not_images(name: str) -> None:
    assert not is_image(name)


def test_extensions_are_lower_case() -> None:
    assert all(extension == extension.lower() and extension.startswith(".") for extension in image_extensions())


@pytest.mark.parametrize(
    ("left_out", "line"),
    [
        ([], None),
        (["a/x.TXT"], "left out 1 entry that is hidden or no image (.txt 1)"),
        (
            ["a/x.txt", "y.txt", "b/.DS_Store", "c/.cache/", "LICENSE", "._a.png"],
            "left out 6 entries that are hidden or no images "
            "(.txt 2, .DS_Store 1, .cache/ 1, hidden .png 1, without extension 1)",
        ),
        (
            [f"a.{kind}" for kind in "aabbbcdefg"],
            "left out 10 entries that are hidden or no images (.b 3, .a 2, .c 1, .d 1, .e 1, other kinds 2)",
        ),
    ],
)
def test_the_line(left_out: list[str], line: str | None) -> None:
    assert describe_left_out(left_out) == line


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.png").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/linked").symlink_to(tmp_path / "real")
    (tmp_path / "folder/broken.png").symlink_to(tmp_path / "gone.png")
    assert list_images(tmp_path / "folder") == (["broken.png", "linked/a.png"], [])
    (tmp_path / "folder/self").symlink_to(tmp_path / "folder")
    with pytest.raises(JaxnextError, match="folder/self: the link leads back to a folder that contains it"):
        list_images(tmp_path / "folder")


@pytest.mark.parametrize("name", ["self.png", "one"])
def test_links_that_lead_to_one_another(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to("other")
    (tmp_path / "other").symlink_to(name)
    with pytest.raises(JaxnextError) as error:
        list_images(tmp_path)
    circle = {
        f"{tmp_path / each}: expected a link to a file or folder, found one in a circle" for each in (name, "other")
    }
    assert str(error.value) in circle


def test_links_that_lead_outside_are_followed_and_named(tmp_path: Path) -> None:
    for name in ("in/a/1.png", "out/b/2.png", "out/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "in/b").symlink_to(tmp_path / "out/b")
    (tmp_path / "in/a/3.png").symlink_to("../../out/3.png")
    (tmp_path / "in/a/4.png").symlink_to("1.png")
    outside: set[str] = set()
    assert list_images(tmp_path / "in", outside=outside) == (["a/1.png", "a/3.png", "a/4.png", "b/2.png"], [])
    assert outside == {"b", "a/3.png"}


def test_a_file_where_a_folder_is_expected(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(JaxnextError, match="a: expected a folder that can be read, found: Not a directory"):
        list_images(tmp_path / "a")
