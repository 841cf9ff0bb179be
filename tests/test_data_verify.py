import io
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from packed_images import pack_folder, write_folder
from PIL import Image
from square import square

from jaxnext.config.sections import SOURCES, DataConfig
from jaxnext.data.cache.decoded import Cache, open_cache
from jaxnext.data.folder_source import FolderSource, class_folder_source
from jaxnext.data.image_source import Subset
from jaxnext.data.splits import load_splits
from jaxnext.data.verify import check_shards, find_bad_images, share_of
from jaxnext.errors import JaxnextError
from jaxnext.file_digests import sha256

# The command line silences it: that an image is too large is said by jaxnext.
pytestmark = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderSource:
    """Seventy good images, and one of each kind of bad ones."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 6000)
    folder = tmp_path / "a"
    folder.mkdir()
    for number in range(70):
        (folder / f"{number:02}.jpg").write_bytes(jpeg())
    (folder / "10.jpg").write_bytes(jpeg()[:-300])
    (folder / "20.jpg").write_bytes(b"")
    (folder / "30.jpg").write_bytes(b"%PDF-1.4 text")
    Image.new("RGB", (100, 100)).save(folder / "40.jpg")
    found = class_folder_source(tmp_path)
    (folder / "50.jpg").unlink()
    return found


@pytest.mark.parametrize("kind", ["none", "memory"])
def test_every_bad_image_is_found_in_order(source: FolderSource, tmp_path: Path, kind) -> None:
    cache, _ = open_cache(kind, tmp_path, [source], square(8))
    done: list[int] = []
    parts = [Subset(source, np.arange(60)), Subset(source, np.arange(60, 70))]
    bad = find_bad_images(parts, square(8), cache, 2, done.append, lambda: False)
    assert bad is not None
    assert [Path(name).name for name, _ in bad] == ["10.jpg", "20.jpg", "30.jpg", "40.jpg", "50.jpg"]
    assert bad[0].name == str(tmp_path / "a" / "10.jpg")
    assert "truncated" in bad[0].reason
    assert [reason for _, reason in bad[1:]] == [
        "the file is empty",
        "not an image that Pillow can read",
        "100x100 pixels are more than the limit of 6000",
        "No such file or directory",
    ]
    assert sum(done) == 70
    assert [store.filled for store in cache.stores] == ([65] if kind == "memory" else [])


def test_shares_are_every_image_once(source: FolderSource) -> None:
    shares = [share_of(source, index, 3) for index in range(3)]
    assert [len(share) for share in shares] == [23, 23, 24]
    assert [name for share in shares for name in share.names] == list(source.names)
    assert share_of(source, 0, 1) is source


def test_a_scan_can_be_stopped(source: FolderSource) -> None:
    asked = iter([False, True])
    assert find_bad_images([source], square(8), Cache(), 1, lambda count: None, lambda: next(asked)) is None


def test_all_threads_look(source: FolderSource) -> None:
    meeting = threading.Barrier(3, timeout=20)

    class Waiting(Subset):
        def read(self, index: int) -> bytes:
            if index % 32 == 0:
                meeting.wait()
            return super().read(index)

    find_bad_images([Waiting(source, np.arange(70))], square(8), Cache(), 3, lambda count: None, lambda: False)


def test_shards_that_are_not_what_was_packed(tmp_path: Path) -> None:
    packed = pack_folder(write_folder(tmp_path / "images", {"train": 2, "val": 1}), tmp_path / "out").folder
    splits = load_splits(DataConfig(source=SOURCES.choose("tfds"), path=str(packed)), 0)
    sources = (splits.train, Subset(splits.validation, np.arange(2)))
    check_shards(sources, 0, 1, lambda: False)
    shard = packed / "images-validation.array_record-00000-of-00001"
    noted = json.loads((packed / "metadata.json").read_text())["sha256"][shard.name]
    shard.write_bytes(shard.read_bytes() + b"more")
    with pytest.raises(JaxnextError) as error:
        check_shards(sources, 0, 1, lambda: False)
    assert str(error.value) == (
        f"{shard}: expected the SHA-256 {noted} that metadata.json beside it notes, found {sha256(shard)}; copy the "
        "shard again, or pack the data set again"
    )
    # The first of two processes looks at the other shard; one that is asked to stop at none.
    check_shards(sources, 0, 2, lambda: False)
    check_shards(sources, 0, 1, lambda: True)
    with pytest.raises(JaxnextError):
        check_shards(sources, 1, 2, lambda: False)
