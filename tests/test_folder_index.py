import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnext.data import listing
from jaxnext.data.class_folders import class_folders
from jaxnext.data.folder_index import FolderIndex
from jaxnext.data.folder_source import FolderSource, FolderTree, class_folder_source

OLD = 1_600_000_000_000_000_000


class Listing:
    """Lists a folder of class folders with an index, and counts the folders that were read for it."""

    def __init__(self, root: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.store = root, store
        self.scanned: list[str] = []
        find = FolderIndex.find

        def counted(index: FolderIndex, under: str, status: os.stat_result):
            folder = find(index, under, status)
            if folder is None:
                self.scanned.append(under)
            return folder

        monkeypatch.setattr(FolderIndex, "find", counted)
        # Every folder of a test has just been made; as if each had lain there for long.
        monkeypatch.setattr("jaxnext.data.folder_index._TICK_NS", -10_000_000_000)

    def __call__(self) -> tuple[list[str], list[str], list[str]]:
        """Names, folders that were read, and lines."""
        self.scanned.clear()
        tree = FolderTree(self.root, self.store)
        source = class_folders(tree)
        assert isinstance(source, FolderSource)
        lines = tree.keep()
        plain = class_folder_source(self.root)
        assert (source.names, source.classes, source.left_out) == (plain.names, plain.classes, plain.left_out)
        assert source.labels.tolist() == plain.labels.tolist()
        return list(source.names), list(self.scanned), lines


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Listing:
    root = tmp_path / "images"
    for name in ("a/1.png", "a/2.JPG", "a/note.txt", "a/.hidden", "b/1.png", "b/deep/er/3.png", "c/\udcffbytes.png"):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * len(name))
    return Listing(root, tmp_path / "store", monkeypatch)


ALL = ["a/1.png", "a/2.JPG", "b/1.png", "b/deep/er/3.png", "c/\udcffbytes.png"]


def test_folders_are_read_once(listed: Listing) -> None:
    assert listed() == (ALL, ["a", "b", "b/deep", "b/deep/er", "c"], [])
    assert listed() == (ALL, [], [])


def add(root: Path) -> None:
    (root / "b/deep/0.png").touch()


def remove(root: Path) -> None:
    (root / "a/1.png").unlink()


def rename(root: Path) -> None:
    (root / "a/1.png").rename(root / "a/9.png")


def add_folder(root: Path) -> None:
    (root / "a/new").mkdir()
    (root / "a/new/x.png").touch()


def remove_folder(root: Path) -> None:
    shutil.rmtree(root / "b/deep")


def add_class(root: Path) -> None:
    (root / "bb").mkdir()
    (root / "bb/x.png").touch()


def exchange(root: Path) -> None:
    """Each folder keeps its times, the parent is what changes."""
    (root / "a").rename(root / "x")
    (root / "b").rename(root / "a")
    (root / "x").rename(root / "b")


def set_back(root: Path) -> None:
    """As unpacking an archive does: the folder's modification time is set to what it was."""
    before = (root / "a").stat().st_mtime_ns
    (root / "a/0.png").touch()
    os.utime(root / "a", ns=(before, before))


@pytest.mark.parametrize(
    ("change", "names", "scanned"),
    [
        (add, ["a/1.png", "a/2.JPG", "b/1.png", "b/deep/0.png", "b/deep/er/3.png"], ["b/deep"]),
        (remove, ["a/2.JPG", "b/1.png", "b/deep/er/3.png"], ["a"]),
        (rename, ["a/2.JPG", "a/9.png", "b/1.png", "b/deep/er/3.png"], ["a"]),
        (add_folder, ["a/1.png", "a/2.JPG", "a/new/x.png", "b/1.png", "b/deep/er/3.png"], ["a", "a/new"]),
        (remove_folder, ["a/1.png", "a/2.JPG", "b/1.png"], ["b"]),
        (add_class, ["a/1.png", "a/2.JPG", "b/1.png", "b/deep/er/3.png", "bb/x.png"], ["bb"]),
        (exchange, ["a/1.png", "a/deep/er/3.png", "b/1.png", "b/2.JPG"], ["a", "a/deep", "a/deep/er", "b"]),
        (set_back, ["a/0.png", "a/1.png", "a/2.JPG", "b/1.png", "b/deep/er/3.png"], ["a"]),
    ],
)
def test_changes_are_noticed(
    listed: Listing, change: Callable[[Path], None], names: list[str], scanned: list[str]
) -> None:
    listed()
    change(listed.root)
    expected = [*names, "c/\udcffbytes.png"]
    assert listed() == (expected, scanned, [])
    assert listed() == (expected, [], [])


def test_a_folder_that_changed_in_the_tick_of_its_listing_is_read_again(
    listed: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jaxnext.data.folder_index._TICK_NS", 2_000_000_000)
    assert listed()[1] == ["a", "b", "b/deep", "b/deep/er", "c"]
    # Its times are those of the listing, as with a file system of a coarse clock.
    (listed.root / "a/0.png").touch()
    names, scanned, _ = listed()
    assert "a/0.png" in names
    assert scanned == ["a", "b", "b/deep", "b/deep/er", "c"]


def test_folders_with_links_are_read_again(listed: Listing, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (listed.root / "b/link.png").symlink_to(tmp_path / "elsewhere")
    assert listed()[1] == ["a", "b", "b/deep", "b/deep/er", "c"]
    names, scanned, _ = listed()
    assert ("b/link.png" in names, scanned) == (True, ["b"])
    # Nothing in b changes, yet the link now leads to a folder.
    (tmp_path / "elsewhere").unlink()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/in.png").touch()
    names, scanned, _ = listed()
    assert ("b/link.png/in.png" in names, scanned) == (True, ["b", "b/link.png"])


def damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    place = content.index(b"1.png")
    content[place] ^= 1
    file.write_bytes(content)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def text(file: Path) -> None:
    file.write_text("not an index")


def without_a_part(file: Path) -> None:
    with np.load(file) as arrays:
        kept = {name: arrays[name] for name in arrays if name != "images_count"}
    with file.open("wb") as out:
        np.savez(out, **kept)


def misfit(file: Path) -> None:
    with np.load(file) as arrays:
        kept = {name: arrays[name] for name in arrays}
    kept["images_count"][0] += 1
    with file.open("wb") as out:
        np.savez(out, **kept)


def pickled(file: Path) -> None:
    with file.open("wb") as out:
        np.savez(out, format=np.array([object()]))


@pytest.mark.parametrize("spoil", [damage, truncate, empty, text, without_a_part, misfit, pickled])
def test_a_damaged_index_is_listed_anew(listed: Listing, spoil: Callable[[Path], None]) -> None:
    listed()
    (file,) = listed.store.iterdir()
    spoil(file)
    names, scanned, lines = listed()
    assert (names, scanned) == (ALL, ["a", "b", "b/deep", "b/deep/er", "c"])
    assert len(lines) == 1
    assert lines[0].startswith(f"{file}: listing of {listed.root}: the file cannot be used (")
    assert lines[0].endswith(") and is made anew")
    assert "\n" not in lines[0]
    assert listed() == (ALL, [], [])


def test_the_index_of_another_folder_is_not_used(listed: Listing, tmp_path: Path) -> None:
    listed()
    (file,) = listed.store.iterdir()
    shutil.copytree(listed.root, tmp_path / "other", symlinks=True)
    FolderIndex(listed.store, tmp_path / "other").save()
    other = FolderIndex(listed.store, tmp_path / "other")
    assert other.lines == []
    shutil.copy(file, other._file.path)
    assert FolderIndex(listed.store, tmp_path / "other").lines == [
        f"{other._file.path}: listing of {tmp_path / 'other'}: the file cannot be used (it is about something else, "
        "or of another version) and is made anew"
    ]


def test_an_index_that_cannot_be_written_is_one_warning(listed: Listing) -> None:
    listed.store.write_text("a file where the folder should be")
    names, _, lines = listed()
    assert names == ALL
    assert len(lines) == 1
    assert lines[0].startswith(f"warning: {listed.store}/")
    assert "cannot be written (" in lines[0]


def test_a_full_disk_is_one_warning_and_leaves_nothing(listed: Listing, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    names, _, lines = listed()
    assert names == ALL
    assert len(lines) == 1
    assert "cannot be written (No space left on device)" in lines[0]
    assert list(listed.store.iterdir()) == []


def test_the_file_holds_names_and_the_size_and_times_of_each_folder(listed: Listing) -> None:
    os.utime(listed.root / "a", ns=(OLD, OLD))
    listed()
    (file,) = listed.store.iterdir()
    assert zipfile.is_zipfile(file)
    with np.load(file) as arrays:
        assert arrays["names_images"].tobytes() == b"1.png\x002.JPG\x001.png\x003.png\x00\xffbytes.png\x00"
        assert arrays["status"].shape == (5, 5)
        assert arrays["status"][0, 2:4].tolist() == [(listed.root / "a").stat().st_size, OLD]


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=9)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(NAMES.filter(lambda name: name[0] != "."), st.sets(NAMES.map(lambda name: f"{name}.png"))))
def test_any_names(tmp_path_factory: pytest.TempPathFactory, classes: dict[str, set[str]]) -> None:
    folder = tmp_path_factory.mktemp("any")
    root = folder / "images"
    root.mkdir()
    for name, files in classes.items():
        (root / name).mkdir(exist_ok=True)
        for file in files:
            (root / name / file).touch()
    with pytest.MonkeyPatch.context() as patch:
        listed = Listing(root, folder / "store", patch)
        index = FolderIndex(listed.store, root)
        plain = {name: listing.list_images(root, name, index) for name in sorted(classes)}
        index.save()
        listed.scanned.clear()
        again = FolderIndex(listed.store, root)
        assert {name: listing.list_images(root, name, again) for name in sorted(classes)} == plain
        assert plain == {name: listing.list_images(root, name) for name in sorted(classes)}
        assert listed.scanned == []
