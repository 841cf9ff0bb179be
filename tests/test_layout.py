from pathlib import Path

import pytest

from jaxnext.data.folder_source import FolderTree
from jaxnext.data.layout import check_flat, check_other_folders, find_layout
from jaxnext.errors import JaxnextError


def folder(path: Path, *names: str) -> FolderTree:
    for name in names:
        (path / name).mkdir(parents=True)
    return FolderTree(path)


def test_names_count_in_any_case_and_the_usual_one_first(tmp_path: Path) -> None:
    layout = find_layout(folder(tmp_path, "TRAIN/a", "dev", "val", "Test", "other", ".git"))
    assert layout.train.path == tmp_path / "TRAIN"
    assert layout.validation is not None
    assert layout.validation.path == tmp_path / "val"
    assert layout.test is not None
    assert layout.test.path == tmp_path / "Test"
    assert layout.unread == ("dev/", "other/", ".git/")


def test_a_flat_folder_is_its_own_training_folder(tmp_path: Path) -> None:
    tree = folder(tmp_path, "a", "b")
    assert find_layout(tree) == (tree, None, None, ())
    check_flat(tree)
    with pytest.raises(JaxnextError, match="expected train/ beside Valid/, found none"):
        find_layout(folder(tmp_path, "Valid"))


def test_a_folder_that_looks_like_validation(tmp_path: Path) -> None:
    tree = folder(tmp_path, "train/a", "holdout/a")
    with pytest.raises(
        JaxnextError, match=r"no other folder with the same classes, found holdout/; did you mean val/\?"
    ):
        check_other_folders(tree, ["holdout"], ["a"])
    check_other_folders(tree, ["holdout", "gone"], ["b"])
