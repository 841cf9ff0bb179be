import zipfile
from pathlib import Path

import numpy as np
import pytest

from jaxnext.data.archive import ArchiveTree
from jaxnext.data.file_tree import FileTree
from jaxnext.data.folder_source import FolderTree

NAMES = ("a/1.png", "a/x.txt", "a/deep/2.png", "a/.hidden", "b/.git/3.png", "b/.x.png", "notes.txt", "0.png")


@pytest.fixture(params=["folder", "archive"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> FileTree:
    if request.param == "archive":
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
            for name in NAMES:
                file.writestr(name, name)
        return ArchiveTree(tmp_path / "x.zip")
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return FolderTree(tmp_path)


def test_a_folder_and_an_archive_list_alike(tree: FileTree) -> None:
    assert tree.list_folder() == (["a", "b"], ["0.png", "notes.txt"], [])
    assert tree.below("b").list_folder() == ([], [], [".git/", ".x.png"])
    assert tree.list_images("a") == (["a/1.png", "a/deep/2.png"], ["a/.hidden", "a/x.txt"])
    assert tree.below("a").below("deep").list_images() == (["2.png"], [])
    assert tree.list_images()[1] == ["a/.hidden", "a/x.txt", "b/.git/", "b/.x.png", "notes.txt"]
    assert tree.below("b").path == tree.path / "b"
    assert tree.keep() == []


def test_a_source_of_some_images(tree: FileTree) -> None:
    source = tree.below("a").source(["deep/2.png", "1.png"], np.array([1, 0], np.int32), ["x", "y"])
    assert (source.names, source.classes, source.labels.tolist()) == (("deep/2.png", "1.png"), ("x", "y"), [1, 0])
    assert [source.read(0), source.read(1)] == [b"a/deep/2.png", b"a/1.png"]
    assert source.location(0) == str(tree.path / "a/deep/2.png")
