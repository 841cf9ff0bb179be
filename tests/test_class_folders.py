from pathlib import Path

import pytest

from jaxnext.data.class_folders import class_folders
from jaxnext.data.folder_source import FolderTree
from jaxnext.errors import JaxnextError

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def folder(path: Path, *names: str) -> FolderTree:
    for name in names:
        (path / name).mkdir(parents=True)
        (path / name / "1.png").touch()
    return FolderTree(path)


def test_classes_that_differ_only_by_case(tmp_path: Path) -> None:
    with pytest.raises(
        JaxnextError, match=r"Cat: expected one of the 2 classes cat, dog, found 'Cat', which looks like 'cat' \(upper"
    ):
        class_folders(folder(tmp_path / "val", "Cat"), ["cat", "dog"])
    assert class_folders(folder(tmp_path / "train", "Cat", "cat")).classes == ("Cat", "cat")


def test_classes_that_differ_only_by_unicode_form(tmp_path: Path) -> None:
    with pytest.raises(JaxnextError, match=r"which looks like 'caf\\xe9' \(the same letters in two Unicode forms, NFC"):
        class_folders(folder(tmp_path / "val", DECOMPOSED), [COMPOSED, "dog"])
    with pytest.raises(
        JaxnextError, match=r"train: expected names of classes that differ to the eye, found 'cafe\\u0301"
    ):
        class_folders(folder(tmp_path / "train", DECOMPOSED, COMPOSED))


def test_a_class_folder_without_images(tmp_path: Path) -> None:
    tree = folder(tmp_path, "cat", "dog")
    (tmp_path / "cat/1.png").unlink()
    with pytest.raises(JaxnextError, match="cat: the class folder holds no images; add some or remove the folder"):
        class_folders(tree)
    # For validation it is no fault: the line that counts the images names the class.
    assert class_folders(tree, ["cat", "dog"]).labels.tolist() == [1]
