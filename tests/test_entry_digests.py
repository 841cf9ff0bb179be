import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from square import square

from jaxnext.data.cache.disk import open_disk
from jaxnext.data.cache.entry_digests import caches, check_cache, record
from jaxnext.data.folder_source import files_source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cache of three images of 5x5 pixels, of which the first two are in it."""
    (tmp_path / "images").mkdir()
    for number in range(3):
        Image.new("RGB", (9, 7)).save(tmp_path / "images" / f"{number}.png")
    source = files_source([tmp_path / "images"])
    store, _ = open_disk(tmp_path / "c", source, square(5), "monday")
    for number in range(2):
        store.put(number, source.stamp(number), np.full((5, 5, 3), number, np.uint8))
    store.flush()
    return store.folder


def change(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 4
    file.write_bytes(content)


def test_a_record() -> None:
    assert record(-2, b"abc") == b"\xfe" + 7 * b"\xff" + hashlib.sha256(b"abc").digest()


def test_a_whole_cache(folder: Path) -> None:
    assert caches(folder) == caches(folder.parent) == [folder]
    assert caches(folder.parent.parent) == []
    assert list(check_cache(folder)) == [(f"{folder}: 2 of 3 images", None)]


def test_a_damaged_image_is_named_others_are_not_read(folder: Path) -> None:
    change(folder / "pixels.bin", 75)
    change(folder / "pixels.bin", 150)
    was, now = (hashlib.sha256(bytes([first]) + 74 * b"\1").hexdigest() for first in (1, 5))
    assert list(check_cache(folder)) == [
        (f"{folder / 'pixels.bin'}: image 1", f"expected the SHA-256 {was}, found {now}; delete the folder {folder}"),
        (f"{folder}: 1 of 3 images", None),
    ]


def test_what_an_earlier_version_stored_has_no_digest(folder: Path) -> None:
    (folder / "digests.bin").write_bytes(bytes(120))
    (line,) = check_cache(folder)
    assert line == (f"{folder}: 0 of 3 images, 2 without a digest, which an earlier version stored", None)
    (folder / "digests.bin").unlink()
    assert list(check_cache(folder)) == [line]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("cache.json", b"{", "expected the description of a decoded cache, found another"),
        ("cache.json", b'{"count": 3}', "expected the description of a decoded cache, found another"),
        ("pixels.bin", b"", "expected 225 bytes, found 0"),
        ("digests.bin", bytes(119), "expected 120 bytes, found 119"),
    ],
)
def test_damaged_files(folder: Path, name: str, content: bytes, problem: str) -> None:
    (folder / name).write_bytes(content)
    assert list(check_cache(folder)) == [(str(folder / name), problem)]
