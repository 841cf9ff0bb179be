import errno
import fcntl
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from square import square

from jaxnext.data.cache import disk as cache_disk
from jaxnext.data.cache.decoded import Reader, open_cache
from jaxnext.data.cache.disk import DiskStore, open_disk
from jaxnext.data.decode import decode
from jaxnext.data.folder_source import FolderSource, files_source
from jaxnext.data.resize import resize
from jaxnext.errors import JaxnextError

SIZE = 5


def write(folder: Path, seed: int, count: int = 4) -> FolderSource:
    folder.mkdir(exist_ok=True)
    for number in range(count):
        pixels = np.random.default_rng([seed, number]).integers(0, 256, (9, 7, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return files_source([folder])


def expected(source: FolderSource, index: int, size: int = SIZE) -> np.ndarray:
    return resize(decode(source.read(index), square(size)), square(size))


def opened(place: Path, source: FolderSource, boot: str = "monday") -> DiskStore:
    return open_disk(place, source, square(SIZE), boot)[0]


def fill(store: DiskStore, *numbers: int) -> None:
    for number in numbers:
        store.put(number, store.source.stamp(number), expected(store.source, number))


def held(store: DiskStore) -> list[int]:
    """Images whose pixels the store gives, which must be right."""
    found = []
    for number in range(len(store.source)):
        into = np.zeros((SIZE, SIZE, 3), np.uint8)
        if store.get(number, store.source.stamp(number), into):
            np.testing.assert_array_equal(into, expected(store.source, number))
            found.append(number)
    return found


@pytest.fixture
def source(tmp_path: Path) -> FolderSource:
    return write(tmp_path / "images", 0)


def test_the_next_run_finds_what_this_one_stored(tmp_path: Path, source: FolderSource) -> None:
    store = opened(tmp_path / "c", source)
    fill(store, 2, 0)
    assert held(store) == held(opened(tmp_path / "c", source)) == [0, 2]
    (folder,) = (tmp_path / "c").iterdir()
    assert folder == store.folder
    assert sorted(file.name for file in folder.iterdir()) == [
        "cache.json",
        "digests.bin",
        "durable.bin",
        "lock",
        "pixels.bin",
        "settle.lock",
        "stamps.bin",
    ]
    assert (folder / "pixels.bin").stat().st_size == 4 * 5 * 5 * 3
    described = json.loads((folder / "cache.json").read_text())
    assert described["images"] == f"{tmp_path / 'images'}/"
    assert (described["count"], described["pixels"]["size"], described["boot"]) == (4, [5, 5], "monday")


def test_each_source_size_and_list_of_names_has_its_folder(tmp_path: Path, source: FolderSource) -> None:
    place = tmp_path / "c"
    folders = {opened(place, source).folder, open_disk(place, source, square(6), "")[0].folder}
    folders.add(opened(place, write(tmp_path / "other", 0)).folder)
    folders.add(opened(place, write(tmp_path / "images", 0, count=5)).folder)
    assert len(folders) == 4


def test_another_process_opens_it_by_its_path(tmp_path: Path, source: FolderSource) -> None:
    store = opened(tmp_path / "c", source)
    copy = pickle.loads(pickle.dumps(store))
    fill(copy, 1)
    assert held(store) == [1]


def test_a_file_that_has_changed_is_decoded_anew(tmp_path: Path, source: FolderSource) -> None:
    store = opened(tmp_path / "c", source)
    fill(store, 0, 1)
    os.utime(tmp_path / "images" / "0.png", ns=(1, 1))
    assert held(store) == [1]
    write(tmp_path / "images", seed=1)
    assert held(store) == []
    fill(store, 0)
    assert held(store) == [0]


def test_an_entry_that_another_process_is_writing_is_left_to_it(tmp_path: Path, source: FolderSource) -> None:
    store = opened(tmp_path / "c", source)
    code = "import fcntl, sys, os; f = os.open(sys.argv[1], os.O_RDWR); fcntl.lockf(f, fcntl.LOCK_EX, 1, 2); print('locked', flush=True); input()"  # noqa: E501
    with subprocess.Popen(
        [sys.executable, "-c", code, str(store.folder / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        fill(store, 1, 2)
        assert held(store) == [1]
        other.communicate(b"\n")
    fill(store, 2)
    assert held(store) == [1, 2]


# A crash of the machine


def test_after_a_restart_only_what_has_reached_the_disk_counts(tmp_path: Path, source: FolderSource) -> None:
    store = opened(tmp_path / "c", source)
    fill(store, 0, 1)
    store.flush()
    fill(store, 2)
    again, lines = open_disk(tmp_path / "c", source, square(SIZE), "tuesday")
    assert held(again) == [0, 1]
    assert lines == [
        f"decoded cache {store.folder}: 1 of its images may not have reached the disk before the machine was "
        "restarted and are decoded anew"
    ]
    fill(again, 2, 3)
    again.flush()
    last, lines = open_disk(tmp_path / "c", source, square(SIZE), "wednesday")
    assert held(last) == [0, 1, 2, 3]
    assert lines == []


def test_machines_that_share_a_file_system_keep_caches_of_their_own(tmp_path: Path, source: FolderSource) -> None:
    one, _ = open_disk(tmp_path / "c", source, square(SIZE), "monday", "one")
    fill(one, 0, 1)
    two, lines = open_disk(tmp_path / "c", source, square(SIZE), "another", "two")
    assert (lines, held(two), held(one)) == ([], [], [0, 1])
    fill(two, 3)
    again, lines = open_disk(tmp_path / "c", source, square(SIZE), "monday", "one")
    assert (lines, held(again), again.folder == one.folder) == ([], [0, 1], True)


def test_where_the_boot_is_not_known_only_durable_entries_count(tmp_path: Path, source: FolderSource) -> None:
    store = opened(tmp_path / "c", source, "")
    fill(store, 0)
    assert held(opened(tmp_path / "c", source, "")) == []


def test_pixels_reach_the_disk_before_it_is_noted(
    tmp_path: Path, source: FolderSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, order = opened(tmp_path / "c", source), []
    fill(store, 0)
    note = cache_disk._write_durable
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: order.append(descriptor in (store._pixels_file, store._digests_file))
    )
    monkeypatch.setattr(cache_disk, "_write_durable", lambda *args: (order.append("noted"), note(*args)))
    store.flush()
    assert order == [True, True, "noted", False]
    store.flush()
    assert len(order) == 4  # Nothing is new.


# A full disk, and folders that do not match


def test_too_little_space_is_said_before_anything_is_written(
    tmp_path: Path, source: FolderSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 331})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(JaxnextError) as error:
        opened(tmp_path / "c", source)
    assert re.fullmatch(
        rf"{tmp_path}/c/[0-9a-f]{{16}}: the decoded cache needs 332 bytes more for 4 images, found 331 free; make "
        r"room, give another --data\.cache_path, or set --data\.cache none",
        str(error.value),
    )
    assert not (tmp_path / "c").exists()
    usage.free = 332
    fill(opened(tmp_path / "c", source), 0, 1)
    usage.free = 149  # Two images of 75 bytes are missing.
    with pytest.raises(JaxnextError, match="needs 150 bytes more for 2 images, found 149 free"):
        opened(tmp_path / "c", source)


def test_a_disk_that_fills_up_is_one_sentence_and_leaves_what_is_right(
    tmp_path: Path, source: FolderSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, write_all = opened(tmp_path / "c", source), os.pwrite
    fill(store, 0)
    room = [40]

    def pwrite(descriptor: int, data: memoryview, offset: int) -> int:
        if descriptor != store._pixels_file:
            return write_all(descriptor, data, offset)
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write_all(descriptor, data[: room[0]], offset)
        room[0] -= written
        return written

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(JaxnextError) as error:
        fill(store, 1)
    assert str(error.value) == (
        f"{store.folder}: the decoded cache cannot be used (No space left on device); what it holds stays right; put "
        "that right and go on with --resume auto, give another --data.cache_path, or set --data.cache none"
    )
    assert held(store) == [0]
    # An entry that is being replaced is none from the first byte on.
    os.utime(tmp_path / "images" / "0.png", ns=(1, 1))
    with pytest.raises(JaxnextError, match="No space left on device"):
        fill(store, 0)
    assert store.filled == 0
    monkeypatch.undo()
    fill(store, 0, 1)
    assert held(store) == [0, 1]


@pytest.mark.parametrize(
    ("name", "change", "found"),
    [
        ("pixels.bin", lambda data: data[:-1], "expected 300 bytes, found 299"),
        ("stamps.bin", lambda data: data + b"x", "expected 32 bytes, found 33"),
        ("durable.bin", lambda data: b"", "expected 32 bytes, found 0"),
        ("cache.json", lambda data: b"{", "expected the description of a decoded cache, found no JSON of it"),
        ("cache.json", lambda data: b"[]", "expected the description of a decoded cache, found no JSON of it"),
        ("cache.json", lambda data: data.replace(b'"decoder": 2', b'"decoder": 1'), "decoder 2, found 1"),
    ],
)
def test_a_folder_that_does_not_match(tmp_path: Path, source: FolderSource, name: str, change, found: str) -> None:
    folder = opened(tmp_path / "c", source).folder
    (folder / name).write_bytes(change((folder / name).read_bytes()))
    with pytest.raises(JaxnextError) as error:
        opened(tmp_path / "c", source)
    message = str(error.value)
    assert message.startswith(f"{folder / name}: expected ")
    assert found in message
    assert message.endswith(f"; delete the folder {folder}, or give another --data.cache_path")


def test_a_folder_that_was_not_finished_when_it_was_made_is_made_again(tmp_path: Path, source: FolderSource) -> None:
    folder = opened(tmp_path / "c", source).folder
    (folder / "cache.json").unlink()
    (folder / "pixels.bin").write_bytes(b"x")
    store = opened(tmp_path / "c", source)
    fill(store, 3)
    assert held(store) == [3]


def test_a_place_that_cannot_be_written(tmp_path: Path, source: FolderSource) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JaxnextError, match=r"the decoded cache cannot be used \(Not a directory\)"):
        opened(tmp_path / "file" / "c", source)


def test_a_file_system_without_locks(tmp_path: Path, source: FolderSource, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(JaxnextError, match=r"the decoded cache cannot be used \(No locks available\)"):
        opened(tmp_path / "c", source)


# Several processes, and one that is killed

PROGRAM = """
    import sys, time
    from pathlib import Path
    from jaxnext.data.cache.decoded import open_cache
    from jaxnext.data.loader import stream
    from jaxnext.data.order import ShuffledOrder
    from jaxnext.data.pixels import Pixels
    from jaxnext.data.folder_source import files_source

    def main():
        images, place, workers, last = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
        source = files_source([images])
        cache, lines = open_cache("disk", place, [source], Pixels((64, 64)), "monday")
        print(lines[0], flush=True)
        total = 0
        order = ShuffledOrder(len(source), 0, 4, 1, 0)
        with stream(order, source, source, Pixels((64, 64)), workers=workers, cache=cache) as batches:
            for number, batch in enumerate(batches):
                if number == last:
                    time.sleep(600)  # To be killed.
                assert not batch.errors
                total += int(batch.image.sum(dtype="int64"))
        cache.flush()
        print(total, flush=True)

    if __name__ == "__main__":
        main()
"""


def program(folder: Path, images: Path, workers: int = 0, last: int = -1) -> "subprocess.Popen[str]":
    script = folder / "program.py"
    script.write_text(textwrap.dedent(PROGRAM))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, str(script), str(images), str(folder / "c"), str(workers), str(last)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def photographs(folder: Path, count: int) -> FolderSource:
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((400, 300)).save(folder / f"{number:04}.jpg")
    return files_source([folder])


def total_of(source: FolderSource) -> int:
    return sum(int(expected(source, i, 64).sum(dtype=np.int64)) for i in range(len(source)))


def check_all_held(place: Path, source: FolderSource) -> None:
    cache, _ = open_cache("disk", place, [source], square(64), "monday")
    (store,) = cache.stores
    assert store.filled == len(source)
    for index in range(len(source)):
        into = np.zeros((64, 64, 3), np.uint8)
        assert store.get(index, source.stamp(index), into)
        np.testing.assert_array_equal(into, expected(source, index, 64))


@pytest.mark.slow
def test_killed_half_way_the_next_run_is_right_and_finishes(tmp_path: Path) -> None:
    workers, source = 2, photographs(tmp_path / "images", 400)
    with program(tmp_path, tmp_path / "images", workers, last=50) as process:
        while filled(tmp_path / "c") < 100 and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    there = filled(tmp_path / "c")
    assert 100 <= there < 400
    with program(tmp_path, tmp_path / "images", workers) as process:
        out, _ = process.communicate(timeout=120)
    first, total = out.splitlines()
    assert re.search(r": \d+ of 400 images, 4.9 MB when full$", first)
    assert int(total) == total_of(source)
    check_all_held(tmp_path / "c", source)


def filled(place: Path) -> int:
    return sum(int(np.count_nonzero(np.fromfile(file, np.int64))) for file in place.glob("*/stamps.bin"))


@pytest.mark.slow
def test_two_processes_fill_one_cache(tmp_path: Path) -> None:
    source = photographs(tmp_path / "images", 300)
    with program(tmp_path, tmp_path / "images") as one, program(tmp_path, tmp_path / "images", 1) as other:
        outs = [process.communicate(timeout=120)[0].splitlines() for process in (one, other)]
    assert [int(out[1]) for out in outs] == [total_of(source)] * 2
    check_all_held(tmp_path / "c", source)


def test_readers_and_writers_at_once_see_no_torn_image(tmp_path: Path) -> None:
    source = write(tmp_path / "images", 0, count=1)
    cache, _ = open_cache("disk", tmp_path / "c", [source], square(SIZE), "")
    known = {}
    for seed in (0, 1):
        write(tmp_path / f"of{seed}", seed, count=1)
        known[seed] = expected(files_source([tmp_path / f"of{seed}"]), 0).tobytes()
    end = threading.Event()

    def change() -> None:
        for turn in range(200):
            whole = tmp_path / f"of{turn % 2}" / "0.png"
            os.link(whole, tmp_path / "images" / ".new")
            (tmp_path / "images" / ".new").replace(tmp_path / "images" / "0.png")
        end.set()

    torn = []

    def read() -> None:
        reader, into = Reader(source, square(SIZE), cache), np.zeros((SIZE, SIZE, 3), np.uint8)
        while not end.is_set():
            reader.read(0, into)
            if into.tobytes() not in known.values():
                torn.append(into.copy())

    threads = [threading.Thread(target=target) for target in (change, read, read, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torn == []


def test_images_that_trade_places_at_the_same_size_and_time_are_decoded_anew(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name, level in (("0.png", 10), ("1.png", 200)):
        Image.new("RGB", (4, 4), (level,) * 3).save(folder / name, compress_level=0)
        os.utime(folder / name, ns=(5, 5))
    assert (folder / "0.png").stat().st_size == (folder / "1.png").stat().st_size
    source = files_source([folder])
    cache, _ = open_cache("disk", tmp_path / "cache", [source], square(SIZE), "monday")
    into = np.empty((SIZE, SIZE, 3), np.uint8)

    def levels() -> list[int]:
        found = []
        for number in (0, 1):
            Reader(source, square(SIZE), cache).read(number, into)
            found += np.unique(into).tolist()
        return found

    assert levels() == [10, 200]
    for old, new in (("0.png", "x"), ("1.png", "0.png"), ("x", "1.png")):
        (folder / old).rename(folder / new)
    assert levels() == [200, 10]
