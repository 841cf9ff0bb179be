import contextlib
import json
import time
from types import SimpleNamespace

import numpy as np
import pytest
from benchmark_cases import Ticks
from benchmarks import data, photographs
from benchmarks.torch_loader import TorchLoader

import jaxnext.data.cache.decoded
from jaxnext.data.folder_source import class_folder_source
from jaxnext.errors import JaxnextError

SMALL = data.Options(images=6, image_size=16, batch_size=4, rounds=3)


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setattr(photographs, "SIDES", (20, 40))
    monkeypatch.setattr(photographs, "_CANVAS", 64)
    photographs.write_photographs(tmp_path / "train", 6)
    return class_folder_source(tmp_path / "train")


def test_result_and_table(source, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    read: list[tuple[int, int]] = []

    class Loader(TorchLoader):
        def __init__(self, torch, device, files, batch_size, workers):
            # Processes take seconds to start, and which number is best is for _best_loader's own test.
            super().__init__(torch, device, files, batch_size, 0)
            self.workers = workers

        def read(self, batches):
            read.append((self.workers, batches))
            return super().read(batches)

    monkeypatch.setattr(data.torch_loader, "TorchLoader", Loader)
    said: list[str] = []
    result = data.run(SMALL, tmp_path / "other", cores=1, clock=time.perf_counter, say=said.append)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert list(result["loaders"]) == ["torch", "cold", "disk", "memory", "augmentation"]
    for record in result["loaders"].values():
        assert record["images_per_second"] == 1 / record["seconds_per_image"]
        assert 0 < record["least"] <= record["images_per_second"] <= record["most"]
    theirs = result["loaders"]["torch"]["seconds_per_image"]
    for key, name in (("cold", "cold"), ("warm", "disk"), ("memory", "memory")):
        assert result[f"{key}_ratio_to_torch"] == theirs / result["loaders"][name]["seconds_per_image"]
    assert (result["images"], result["image_size"], result["batch_size"], result["rounds"]) == (6, 16, 4, 3)
    assert (result["workers"], result["threads"]) == (0, 1)
    assert set(result["fill_images_per_second"]) == {"disk", "memory"}
    assert {"torch", "jax", "grain", "simplejpeg", "pillow"} < set(result["versions"])
    assert result["file_bytes"] == sum(file.stat().st_size for file in (tmp_path / "other" / "train").rglob("*.jpg"))
    # Ten batches a worker at least, then one pass unmeasured and three measured with the best.
    best = result["torch_workers"]
    assert set(result["torch_images_per_second_by_workers"]) == {"0", "1", "2"}
    assert read[:6] == [(0, 2), (0, 2), (1, 2), (1, 10), (2, 4), (2, 20)]
    assert read[6:] == [(best, {0: 2, 1: 10, 2: 20}[best])] * 4

    lines = data.table(result).splitlines()
    assert lines[0].startswith("6 JPEGs of 350 to 800 pixels a side, ")
    assert "to 16 x 16, batch 4, 3 rounds; " in lines[0]
    cold = next(line for line in lines if line.startswith("jaxnext, cold"))
    assert cold.split()[-1] == f"{result['cold_ratio_to_torch']:.2f}"
    assert "measuring 5 functions in 3 rounds" in said


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    pytest.importorskip("torch")

    def write(folder, count):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(data, "write_photographs", write)
    with pytest.raises(JaxnextError) as error:
        data.run(SMALL, tmp_path, cores=1, clock=time.perf_counter, say=lambda line: None)
    assert str(error.value) == (
        f"{tmp_path}: the images cannot be written (No space left on device); TMPDIR names another place"
    )


def test_the_number_of_workers_that_takes_least_time_is_kept(monkeypatch):
    seconds = {0: 5.0, 1: 3.0, 2: 4.0, 4: 2.0, 5: 2.5, 8: 9.0}
    closed: list[int] = []

    def loader(torch, device, files, batch_size, workers):
        return SimpleNamespace(workers=workers, read=lambda batches: 1, close=lambda: closed.append(workers))

    monkeypatch.setattr(data.torch_loader, "TorchLoader", loader)
    monkeypatch.setattr(data, "_torch_turn", lambda loader, options, clock: seconds[loader.workers])
    files = SimpleNamespace()
    best, tried = data._best_loader(None, "cpu", files, SMALL, 4, time.perf_counter, print)
    assert best.workers == 4
    assert tried == seconds
    assert sorted(closed) == [0, 1, 2, 5, 8]


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_a_filled_cache_is_read_and_no_file(kind, source, tmp_path, monkeypatch):
    cache, seconds = data._filled_cache(kind, tmp_path / "decoded", source, SMALL, 1, time.perf_counter)
    assert seconds > 0
    (store,) = cache.stores
    assert store.filled == 6

    def decode(encoded):
        raise AssertionError("decoded")

    monkeypatch.setattr(jaxnext.data.cache.decoded, "decode", decode)
    assert data._turn(source, SMALL, 1, time.perf_counter, cache, 2) > 0
    with pytest.raises(AssertionError, match="decoded"):
        data._turn(source, SMALL, 1, time.perf_counter)


def test_an_image_that_cannot_be_read_is_an_error(source, tmp_path):
    file = next((tmp_path / "train").rglob("*.jpg"))
    file.write_bytes(b"")
    with pytest.raises(JaxnextError) as error:
        data._turn(source, SMALL, 1, time.perf_counter)
    assert str(error.value) == f"{file}: the file is empty"


@pytest.mark.parametrize(("workers", "batches", "start"), [(0, 10, 0), (3, 36, 6)])
def test_a_turn_leaves_out_the_start_of_processes(workers, batches, start, source, monkeypatch):
    now, asked = 0.0, []

    @contextlib.contextmanager
    def stream(schedule, train, validation, size, *, workers, threads, cache):
        asked.append((len(schedule), workers, threads))

        def give():
            nonlocal now
            for index in range(len(schedule)):
                count = len(schedule.locate(index).ids)
                now += 1000.0 if index < start else 0.5 * count
                yield SimpleNamespace(errors=(), image=np.zeros((4, 2, 2, 3), np.uint8), mask=np.arange(4) < count)

        yield give()

    monkeypatch.setattr(data, "stream", stream)
    monkeypatch.setattr(data, "default_workers", lambda cores, source, cache: workers)
    assert data._turn(source, SMALL, 1, lambda: now) == 0.5
    # Ten batches a process or thread are counted, in whole epochs of two batches.
    assert asked == [(batches, workers, 1)]


def test_augmentation_alone_draws_as_many_batches_as_the_images_fill(source, monkeypatch):
    steps: list[int] = []

    class Noting(data.Augmentation):
        def draw(self, seed, step, rows, image_size):
            steps.append(step)
            return super().draw(seed, step, rows, image_size)

    monkeypatch.setattr(data, "Augmentation", Noting)
    turn = data._augmentation(source, SMALL, Ticks())
    assert steps == [0, 1]
    # One second from one look at the clock to the next, over two batches of four rows.
    assert turn() == 1 / 8


def test_rounds_are_taken_in_turn():
    order: list[str] = []
    values = {"a": iter([9.0, 1.0, 3.0, 2.0]), "b": iter([9.0, 5.0, 4.0, 6.0])}

    def turn(name):
        return lambda: order.append(name) or next(values[name])

    timings = data._in_turn({name: turn(name) for name in values}, 3)
    assert "".join(order) == "ab" * 4
    assert {name: timing.samples for name, timing in timings.items()} == {"a": (1.0, 3.0, 2.0), "b": (5.0, 4.0, 6.0)}
