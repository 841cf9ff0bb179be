import os
from pathlib import Path

import numpy as np
import pytest

from jaxnext.data.folder_source import FolderTree, class_folder_source, files_source
from jaxnext.data.image_source import Subset
from jaxnext.errors import JaxnextError


def write(root: Path, *names: str) -> Path:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    return root


def test_classes_sort_as_strings_and_files_by_path(tmp_path: Path) -> None:
    write(tmp_path, "10/b.JPG", "2/x.png", "1/z.jpeg", "1/deep/er/a.webp", "0/q.bmp", "10/a-1.gif", "10/a.gif")
    source = class_folder_source(tmp_path)
    assert source.classes == ("0", "1", "10", "2")
    assert source.names == ("0/q.bmp", "1/deep/er/a.webp", "1/z.jpeg", "10/a-1.gif", "10/a.gif", "10/b.JPG", "2/x.png")
    assert source.labels.tolist() == [0, 1, 1, 2, 2, 2, 3]
    assert source.labels.dtype == np.int32
    assert len(source) == 7
    assert source.read(1) == b"1/deep/er/a.webp"
    assert Path(source.location(1)) == tmp_path / "1/deep/er/a.webp"
    assert not source.in_memory
    assert source.left_out == ()


def test_hidden_files_and_non_images_are_left_out_and_named(tmp_path: Path) -> None:
    write(tmp_path, "README.txt", ".DS_Store", ".git/a.png", "a/x.png", "a/._x.png", "a/notes.txt", "a/.thumbs/t.png")
    source = class_folder_source(tmp_path)
    assert source.names == ("a/x.png",)
    assert set(source.left_out) == {"README.txt", ".DS_Store", ".git/", "a/._x.png", "a/notes.txt", "a/.thumbs/"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "{root}: expected a folder with images for each class, found no folders"),
        (("notes.txt",), "{root}: expected a folder with images for each class, found no folders"),
        (("a/x.png", "y.png"), "{root}: expected only class folders, found the image y.png beside them"),
        (("a/x.png", "b/y.txt"), "{root}/b: the class folder holds no images"),
    ],
)
def test_class_folder_errors(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    write(tmp_path, *names)
    with pytest.raises(JaxnextError) as caught:
        class_folder_source(tmp_path)
    assert str(caught.value).startswith(message.format(root=tmp_path))


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(JaxnextError, match="nowhere: no such folder"):
        class_folder_source(tmp_path / "nowhere")


def test_given_classes_decide_the_labels(tmp_path: Path) -> None:
    write(tmp_path, "b/1.png", "c/1.png", "empty/note.txt")
    source = class_folder_source(tmp_path, ["c", "empty", "a", "b"])
    assert source.classes == ("c", "empty", "a", "b")
    assert source.labels.tolist() == [3, 0]
    with pytest.raises(JaxnextError, match=r"/c: expected one of the 2 classes b, empty, found 'c'"):
        class_folder_source(tmp_path, ["b", "empty"])


def test_files_source_names_are_relative_to_what_was_given(tmp_path: Path) -> None:
    write(tmp_path, "one/sub/a.png", "one/z.jpg", "one/skip.txt", "two/a.png", "single.png")
    source = files_source([tmp_path / "two", tmp_path / "one", tmp_path / "single.png"])
    assert source.names == ("sub/a.png", "z.jpg", "single.png", "a.png")
    assert [Path(source.location(i)).relative_to(tmp_path).as_posix() for i in range(4)] == [
        "one/sub/a.png",
        "one/z.jpg",
        "single.png",
        "two/a.png",
    ]
    assert [source.read(i) for i in range(4)] == [b"one/sub/a.png", b"one/z.jpg", b"single.png", b"two/a.png"]
    assert source.labels.tolist() == [-1] * 4
    assert source.classes == ()
    assert source.left_out == ("skip.txt",)


def test_files_source_errors(tmp_path: Path) -> None:
    write(tmp_path, "a.png", "note.txt", "empty/note.txt")
    with pytest.raises(JaxnextError, match=r"b\.png: no such file or folder"):
        files_source([tmp_path / "b.png"])
    with pytest.raises(JaxnextError, match=r"note\.txt: expected an image file, found the extension '.txt'"):
        files_source([tmp_path / "note.txt"])
    with pytest.raises(JaxnextError, match="empty: found no images"):
        files_source([tmp_path / "empty"])
    with pytest.raises(JaxnextError, match="no path given: found no images"):
        files_source([])
    with pytest.raises(JaxnextError, match=r"a\.png: the image is given twice"):
        files_source([tmp_path, tmp_path / "a.png"])


def test_a_stamp_changes_with_size_and_time_of_the_file(tmp_path: Path) -> None:
    source = Subset(class_folder_source(write(tmp_path, "a/1.png", "a/2.png")), np.array([1, 0]))
    file = tmp_path / "a" / "1.png"
    os.utime(file, ns=(5, 7))
    first = source.stamp(1)
    assert 1 <= first < 2**63
    assert source.stamp(1) == first == source.source.stamp(0) != source.stamp(0)
    os.utime(file, ns=(5, 8))
    later = source.stamp(1)
    file.write_bytes(b"more")
    os.utime(file, ns=(5, 8))
    assert len({first, later, source.stamp(1)}) == 3
    file.unlink()
    with pytest.raises(FileNotFoundError):
        source.stamp(1)


def test_files_of_one_size_and_time_that_trade_places_have_other_stamps(tmp_path: Path) -> None:
    source = class_folder_source(write(tmp_path, "a/1.png", "a/2.png"))
    one, two = tmp_path / "a/1.png", tmp_path / "a/2.png"
    for file in (one, two):
        os.utime(file, ns=(5, 5))
    stamps = [source.stamp(0), source.stamp(1)]
    assert stamps[0] != stamps[1]
    one.rename(tmp_path / "a/x")
    two.rename(one)
    (tmp_path / "a/x").rename(two)
    assert not {source.stamp(0), source.stamp(1)} & set(stamps)


def test_links_that_lead_outside_are_said(tmp_path: Path) -> None:
    root = write(tmp_path / "images", "a/1.png")
    write(tmp_path / "images-2", "b/1.png", "b/2.png")
    (root / "b").symlink_to(tmp_path / "images-2" / "b")
    (root / "a" / "2.png").symlink_to("../../images-2/b/2.png")
    (root / "a" / "3.png").symlink_to("1.png")
    (root / "a" / "4.png").symlink_to(root / "a" / "1.png")
    tree = FolderTree(root)
    assert tree.list_images() == (["a/1.png", "a/2.png", "a/3.png", "a/4.png", "b/1.png", "b/2.png"], [])
    assert tree.keep() == [f"{root}: 2 links lead outside of it: a/2.png, b"]
    again = FolderTree(root)
    assert again.list_folder()[0] == ["a", "b"]
    assert again.keep() == [f"{root}: 1 links lead outside of it: b"]
