from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxnext.inference.safe_names import digest, folded, safe_folders, safe_part


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("golden retriever", "golden retriever"),
        ("日本", "日本"),
        ("../x", "%2E.%2Fx"),
        ("..", "%2E%2E"),
        ("a/b", "a%2Fb"),
        ("a\\b", "a%5Cb"),
        ("CON", "%43ON"),
        ("nul.txt", "%6Eul.txt"),
        ("com¹", "%63om¹"),
        ("dots...", "dots..%2E"),
        (" x ", "%20x%20"),
        (".git", "%2Egit"),
        ("a\x00\n\u202eb", "a%00%0A%E2%80%AEb"),
        ("100%", "100%25"),
        ("", "%"),
    ],
)
def test_a_class_as_a_folder(name, expected):
    assert safe_folders([name], ["unknown"]) == [expected]


def test_classes_that_a_file_system_may_take_for_one():
    assert safe_folders(["Cat", "cat", "Unknown", "dog"], ["unknown"]) == [
        "Cat" + digest("Cat"),
        "cat" + digest("cat"),
        "Unknown" + digest("Unknown"),
        "dog",
    ]
    assert digest("cat") == "%~77af778b51abd4a3"


def test_an_ending_that_is_taken():
    assert safe_part("x.jpg", ".jpg") == "x.jp%67"


@given(st.lists(st.text(st.characters(exclude_categories=[])), unique=True, max_size=8))
def test_any_classes_have_folders_of_their_own(tmp_path_factory, names):
    folders = safe_folders(names, ["unknown", "sorted.csv"])
    assert len({folded(folder) for folder in (*folders, "unknown", "sorted.csv")}) == len(names) + 2
    for folder in folders:
        assert Path(folder).name == folder
        assert len(folder.encode()) <= 190 + 36
        assert folder.isprintable()
        assert folder[0] not in ". "
        assert folder[-1] not in ". "
