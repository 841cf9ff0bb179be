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
        JaxnextError, match="Cat: expected one of the 2 classes cat, dog, found 'Cat', which differs from"
    ):
        class_folders(folder(tmp_path / "val", "Cat"), ["cat", "dog"])
    assert class_folders(folder(tmp_path / "train", "Cat", "cat")).classes == ("Cat", "cat")


def test_classes_that_differ_only_by_unicode_form(tmp_path: Path) -> None:
    for classes in ([COMPOSED, "dog"], None):
        with pytest.raises(JaxnextError) as error:
            class_folders(
                folder(tmp_path / str(classes), DECOMPOSED, *([COMPOSED] if classes is None else [])), classes
            )
        assert "'cafe\\u0301' and 'caf\\xe9', the same letters in two Unicode forms (NFC and NFD)" in str(error.value)
