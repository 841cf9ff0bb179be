import errno
import io
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from unittest.mock import create_autospec

import numpy as np
import pytest
from PIL import Image
from square import square

from jaxnext.data.cache.decoded import Cache
from jaxnext.data.decode import decode
from jaxnext.data.folder_source import files_source
from jaxnext.data.image_source import MemorySource, Subset
from jaxnext.data.loader import HostBatch, default_workers, stream
from jaxnext.data.order import ShuffledOrder, sequential_order
from jaxnext.data.pixels import Pixels
from jaxnext.data.resize import resize
from jaxnext.errors import JaxnextError


def png(seed: int) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def images(count: int, first: int = 0) -> MemorySource:
    numbers = range(first, first + count)
    labels = np.array([number % 3 for number in numbers], np.int32)
    return MemorySource(tuple(map(png, numbers)), tuple(f"{n}.png" for n in numbers), labels, ("a", "b", "c"))


TRAIN, VALIDATION = images(7), images(3, first=100)
SCHEDULE = ShuffledOrder(train_size=7, val_size=3, batch_size=3, epochs=2, seed=1)


def collect(start: int = 0, workers: int = 0, threads: int = 2) -> list[HostBatch]:
    with stream(SCHEDULE, TRAIN, VALIDATION, square(5), start, workers, threads) as batches:
        return list(batches)


def assert_same(batches: list[HostBatch], expected: list[HostBatch]) -> None:
    assert [batch.index for batch in batches] == [batch.index for batch in expected]
    for batch, other in zip(batches, expected, strict=True):
        for field in ("image", "label", "mask", "ids"):
            assert type(getattr(batch, field)) is np.ndarray
            np.testing.assert_array_equal(getattr(batch, field), getattr(other, field))
        assert batch.errors == other.errors


def workers_left() -> list[multiprocessing.process.BaseProcess]:
    return multiprocessing.active_children()


def test_batches_are_what_the_schedule_says() -> None:
    batches = collect()
    assert [batch.index for batch in batches] == list(range(len(SCHEDULE)))
    for batch in batches:
        plan = SCHEDULE.locate(batch.index)
        source, count = (TRAIN if plan.training else VALIDATION), len(plan.ids)
        assert (batch.image.shape, batch.image.dtype) == ((3, 5, 5, 3), np.uint8)
        assert (batch.label.dtype, batch.mask.dtype, batch.ids.dtype) == (np.int32, np.bool_, np.int64)
        assert batch.ids.tolist() == [*plan.ids.tolist(), *[-1] * (3 - count)]
        assert batch.mask.tolist() == [True] * count + [False] * (3 - count)
        assert batch.label.tolist() == [*source.labels[plan.ids].tolist(), *[0] * (3 - count)]
        for row, example in enumerate(plan.ids.tolist()):
            np.testing.assert_array_equal(batch.image[row], resize(decode(source.read(example), square(5)), square(5)))
        assert not batch.image[count:].any()
        assert batch.errors == ()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers_gives_the_same(workers: int) -> None:
    assert_same(collect(workers=workers, start=3), collect()[3:])
    assert workers_left() == []


def test_any_number_of_threads_gives_the_same() -> None:
    assert_same(collect(threads=5), collect(threads=1))


@pytest.mark.parametrize(
    ("rows", "ids"),
    [(range(0, 2), [5, -1]), (range(2, 4), [-1, -1]), (range(1, 3), [-1, -1]), (range(0, 4), [5, -1, -1, -1])],
)
def test_rows_of_a_remainder(rows: range, ids: list[int]) -> None:
    with stream(SCHEDULE, TRAIN, VALIDATION, square(5), start=2, rows=rows) as batches:
        batch = next(batches)
    assert batch.ids.tolist() == ids
    assert batch.mask.tolist() == [i >= 0 for i in ids]
    whole = collect(start=2)[0]
    for place, row in enumerate(rows):
        if row < 3:
            np.testing.assert_array_equal(batch.image[place], whole.image[row])
            assert batch.label[place] == whole.label[row]


@pytest.mark.parametrize("start", [1, 3, 7, 8])
def test_a_run_goes_on_anywhere(start: int) -> None:
    assert_same(collect(start), collect()[start:])


def test_start_outside() -> None:
    with pytest.raises(IndexError, match="start 9 and end 8 of an order of 8 batches"):
        collect(9)


def test_nothing_to_do_starts_no_worker() -> None:
    with stream(SCHEDULE, TRAIN, VALIDATION, square(5), start=8, workers=2) as batches:
        assert workers_left() == []
        assert list(batches) == []


def test_failed_images_are_named_and_masked(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(png(number))
    source = files_source([tmp_path])
    (tmp_path / "1.png").write_bytes(png(1)[:60])
    (tmp_path / "2.png").unlink()
    (tmp_path / "4.png").write_bytes(b"")
    with stream(sequential_order(5, 3), None, source, square(4)) as batches:
        first, second = batches
    assert first.mask.tolist() == [True, False, False]
    assert first.ids.tolist() == [0, 1, 2]
    assert first.label.tolist() == [-1, -1, -1]
    assert [error.name for error in first.errors] == [str(tmp_path / "1.png"), str(tmp_path / "2.png")]
    assert "truncated" in first.errors[0].reason
    assert first.errors[1].reason == "No such file or directory"
    assert first.image[0].any()
    assert not first.image[1:].any()
    assert second.errors == ((str(tmp_path / "4.png"), "the file is empty"),)
    assert second.mask.tolist() == [True, False, False]
    assert second.ids.tolist() == [3, 4, -1]
    assert second.label.tolist() == [-1, -1, 0]


class Failing(MemorySource):
    def read(self, index: int) -> bytes:
        if index == 4:
            raise OSError(errno.EMFILE, "Too many open files")
        return super().read(index)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_fault_of_the_machine_is_not_taken_for_a_corrupt_image(workers: int) -> None:
    source = Failing(TRAIN.data, TRAIN.names, TRAIN.labels, TRAIN.classes)
    with stream(sequential_order(7, 3), None, source, square(4), workers=workers) as batches:
        assert next(batches).errors == ()
        with pytest.raises(JaxnextError, match=r"^4\.png: reading has failed \(Too many open files\), for no fault"):
            next(batches)


def test_what_is_said_of_images_is_counted() -> None:
    frames = [Image.new("RGB", (4, 4), (level, 0, 0)) for level in (0, 200)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    source = MemorySource((file.getvalue(),) * 3, ("a", "b", "c"), np.zeros(3, np.int32), ("x",))
    with stream(sequential_order(3, 2), None, source, Pixels((4, 6))) as batches:
        found = list(batches)
        assert [batch.remarks for batch in found] == [("frames", "frames"), ("frames",)]
        assert batches.remarks == {"frames": 3}
    assert found[0].image.shape == (2, 4, 6, 3)


def test_a_training_batch_needs_a_source() -> None:
    with (
        stream(SCHEDULE, None, VALIDATION, square(5)) as batches,
        pytest.raises(ValueError, match="no source of training"),
    ):
        next(batches)


@pytest.mark.slow
def test_closing_early_ends_the_workers() -> None:
    batches = stream(sequential_order(600, 2), None, Subset(TRAIN, np.arange(600) % 7), square(5), workers=2)
    assert len(workers_left()) <= 2
    next(batches)
    assert len(workers_left()) == 2
    batches.close()
    batches.close()
    assert workers_left() == []


@pytest.mark.slow
def test_a_worker_that_is_killed_is_reported() -> None:
    with stream(sequential_order(600, 2), None, Subset(TRAIN, np.arange(600) % 7), square(5), workers=1) as batches:
        next(batches)
        time.sleep(0.3)  # Until it waits for room: killed at work, it would leave shared memory behind.
        (worker,) = workers_left()
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(JaxnextError, match=r"a worker process that decodes images was ended.*--workers 0"):
            list(batches)
    assert workers_left() == []


PROGRAM = """
    import io, multiprocessing, signal, sys, time
    import numpy as np
    from PIL import Image
    from jaxnext.data.loader import stream
    from jaxnext.data.order import sequential_order
    from jaxnext.data.pixels import Pixels
    from jaxnext.data.image_source import MemorySource

    def main():
        interrupts = []
        signal.signal(signal.SIGINT, lambda *_: interrupts.append(1))
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, lambda *_: None)
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, "PNG")
        source = MemorySource((file.getvalue(),) * 40, ("a.png",) * 40, np.zeros(40, np.int32), ("a",))
        batches = stream(sequential_order(40, 4), None, source, Pixels((8, 8)), workers=2)
        while len(multiprocessing.active_children()) < 2:
            time.sleep(0.01)
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        if sys.argv[1] == "sleep":
            time.sleep(60)
        seen = 0
        for number, batch in enumerate(batches):
            seen += int(batch.mask.sum())
            if number == 0:
                print("started", flush=True)
                while sys.argv[1] == "interrupt" and len(interrupts) < 2:
                    time.sleep(0.01)
            if sys.argv[1] == "leave" and number == 1:
                return
        print(seen, len(interrupts), flush=True)
        if sys.argv[1] == "interrupt":
            batches.close()

    if __name__ == "__main__":
        main()
"""


def program(folder: Path, what: str) -> "subprocess.Popen[str]":
    script = folder / "program.py"
    script.write_text(textwrap.dedent(PROGRAM))
    root = str(Path(__file__).parent.parent)
    return subprocess.Popen(
        [sys.executable, str(script), what],
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.slow
def test_an_interrupt_of_the_process_group_leaves_the_workers_at_work(tmp_path: Path) -> None:
    with program(tmp_path, "interrupt") as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)  # While the workers still import.
        assert process.stdout.readline() == "started\n"
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            os.killpg(process.pid, number)
        out, err = process.communicate(timeout=60)
    assert out == "40 2\n"
    assert process.returncode == 0
    # With an older jaxlib Grain has something to say.
    assert [line for line in err.splitlines() if "profiling requires jaxlib" not in line] == []


@pytest.mark.slow
def test_leaving_without_closing_does_not_hang(tmp_path: Path) -> None:
    with program(tmp_path, "leave") as process:
        out, err = process.communicate(timeout=60)
    assert out.endswith("started\n")
    assert process.returncode == 0
    # With an older jaxlib Grain has something to say.
    assert [line for line in err.splitlines() if "profiling requires jaxlib" not in line] == []


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_workers_end_with_a_main_process_that_is_killed(tmp_path: Path) -> None:
    with program(tmp_path, "sleep") as process:
        assert process.stdout is not None
        workers = [int(pid) for pid in process.stdout.readline().split()]
        assert len(workers) == 2
        assert all(map(alive, workers))
        process.kill()
        deadline = time.monotonic() + 30
        while any(map(alive, workers)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(alive, workers))


def test_default_workers() -> None:
    few, many = images(3), Subset(images(3), np.arange(600) % 3)

    class Folder(Subset):
        in_memory = False

    folder = Folder(images(3), np.arange(600) % 3)
    assert [default_workers(16, source) for source in (few, many, folder)] == [0, 0, 16]
    assert [default_workers(cores, folder) for cores in (1, 2, 4, 5, 8, 64)] == [0, 0, 0, 5, 8, 16]
    assert default_workers(16, Folder(images(3), np.arange(511) % 3)) == 0
    cold, warm, for_threads = (create_autospec(Cache, warm=w, threads_only=t) for w, t in ((0, 0), (1, 0), (0, 1)))
    assert [default_workers(16, folder, cache) for cache in (cold, warm, for_threads)] == [16, 0, 0]
