import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from jaxnext.data.archive import ArchiveSource, ArchiveTree, is_archive, open_archive, open_tree
from jaxnext.data.folder_source import FolderTree
from jaxnext.errors import JaxnextError


@pytest.fixture
def source(tmp_path: Path) -> ArchiveSource:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("a/1.png", b"one", zipfile.ZIP_DEFLATED)
        file.writestr("a/2.png", b"two", zipfile.ZIP_STORED)
    tree = open_archive(tmp_path / "x.zip")
    return tree.source(["2.png", "1.png"] if tree.under else ["a/2.png", "a/1.png"], np.zeros(2, np.int32), ["a"])


def test_images_are_read_in_any_order_by_any_process(source: ArchiveSource) -> None:
    copy = pickle.loads(pickle.dumps(source))
    assert [copy.read(i) for i in (1, 0, 1)] == [b"one", b"two", b"one"]
    assert copy.location(1) == f"{source.archive}/a/1.png"
    assert len(copy) == 2


def test_a_stamp_is_of_the_archive_and_the_place_in_it(source: ArchiveSource) -> None:
    first = source.stamp(0), source.stamp(1)
    assert first[0] != first[1]
    Path(source.archive).write_bytes(Path(source.archive).read_bytes())
    assert not {source.stamp(0), source.stamp(1)} & set(first)
    Path(source.archive).unlink()
    with pytest.raises(FileNotFoundError):
        source.stamp(0)
    with pytest.raises(FileNotFoundError):
        source.read(0)


def test_an_empty_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w"):
        pass
    with pytest.raises(JaxnextError, match=r"x\.zip: expected an archive with images in it, found an empty one"):
        open_archive(tmp_path / "x.zip")


def test_an_archive_is_a_file_named_so(tmp_path: Path) -> None:
    (tmp_path / "folder.zip").mkdir()
    for name in ("a.ZIP", "b.tar", "c.png"):
        (tmp_path / name).touch()
    found = {path.name: is_archive(path) for path in [*tmp_path.iterdir(), tmp_path / "gone.zip"]}
    assert found == {"folder.zip": False, "a.ZIP": True, "b.tar": True, "c.png": False, "gone.zip": False}


def test_a_folder_or_an_archive(tmp_path: Path, source: ArchiveSource) -> None:
    assert isinstance(open_tree(Path(source.archive)), ArchiveTree)
    (tmp_path / "folder.zip").mkdir()
    assert isinstance(open_tree(tmp_path / "folder.zip"), FolderTree)
