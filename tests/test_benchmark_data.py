import contextlib
import json
import time
from types import SimpleNamespace

import numpy as np
import pytest
from benchmark_cases import Ticks
from benchmarks import command, data, machine, photographs, torch_loader

import jaxnext.data.cache.decoded
from jaxnext.augment import original
from jaxnext.data import loader
from jaxnext.data.folder_source import class_folder_source
from jaxnext.errors import JaxnextError

SMALL = command.parse(["data", "--images", "6", "--image_size", "16", "--batch_size", "4", "--rounds", "3"])


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setattr(photographs, "SIDES", (20, 40))
    monkeypatch.setattr(photographs, "_CANVAS", 64)
    photographs.write_photographs(tmp_path / "train", 6)
    return class_folder_source(tmp_path / "train")


def test_result_and_table(source, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    read: list[tuple[int, int]] = []

    class Loader(torch_loader.TorchLoader):
        def __init__(self, torch, device, files, batch_size, workers):
            # Processes take seconds to start, and which number is best is for _best_loader's own test.
            super().__init__(torch, device, files, batch_size, 0)
            self.workers = workers

        def read(self, batches):
            read.append((self.workers, batches))
            return super().read(batches)

    monkeypatch.setattr(torch_loader, "TorchLoader", Loader)
    said: list[str] = []
    monkeypatch.setattr(machine, "cores", lambda: 1)
    monkeypatch.setattr(machine, "prepare", lambda: None)
    monkeypatch.setattr(torch_loader, "transforms", lambda size: (torch_loader.PillowTransforms(size), "by Pillow"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    result = data.run(SMALL, said.append)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert list((tmp_path / "temporary").iterdir()) == []
    assert list(result["loaders"]) == ["torch", "cold", "disk", "memory", "augmentation", "modern", "normalisation"]
    for record in result["loaders"].values():
        assert 0 < record["least"] <= record["images_per_second"] <= record["most"]
    theirs = result["loaders"]["torch"]["seconds_per_image"]
    for name in ("cold", "disk", "memory"):
        assert result[f"{name}_ratio_to_torch"] == theirs / result["loaders"][name]["seconds_per_image"]
    assert set(result["fill_images_per_second"]) == {"disk", "memory"}
    assert result["file_bytes"] > 6 * 100
    # Ten batches a worker at least, then one pass unmeasured and three measured with the best.
    best = result["torch_workers"]
    assert set(result["torch_images_per_second_by_workers"]) == {"0", "1", "2"}
    assert read[:6] == [(0, 2), (0, 2), (1, 2), (1, 10), (2, 4), (2, 20)]
    assert read[6:] == [(best, {0: 2, 1: 10, 2: 20}[best])] * 4
    lines = data.table(result).splitlines()
    assert lines[0].startswith("6 JPEGs, ")
    assert "to 16 x 16, batch 4, 3 rounds; " in lines[0]
    cold = next(line for line in lines if line.startswith("jaxnext, cold"))
    assert cold.split()[-1] == f"{result['cold_ratio_to_torch']:.2f}"
    assert data.summary(result)["jaxnext, cold, images/s over torch's"] == result["cold_ratio_to_torch"]


def test_a_full_disk_is_one_sentence(monkeypatch):
    pytest.importorskip("torch")

    def write(folder, count):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(photographs, "write_photographs", write)
    monkeypatch.setattr(machine, "prepare", lambda: None)
    with pytest.raises(JaxnextError, match=r"cannot be written \(No space left on device\); TMPDIR names "):
        data.run(SMALL, lambda line: None)


def test_the_number_of_workers_that_takes_least_time_is_kept(monkeypatch):
    seconds = {0: 5.0, 1: 3.0, 2: 4.0, 4: 2.0, 5: 2.5, 8: 9.0}
    closed: list[int] = []

    def theirs(torch, device, files, batch_size, workers):
        return SimpleNamespace(workers=workers, read=lambda batches: 1, close=lambda: closed.append(workers))

    monkeypatch.setattr(torch_loader, "TorchLoader", theirs)
    monkeypatch.setattr(data, "_torch_turn", lambda loader, options: seconds[loader.workers])
    files = SimpleNamespace()
    best, tried = data._best_loader(None, "cpu", files, SMALL, 4, print)
    assert best.workers == 4
    assert tried == seconds
    assert sorted(closed) == [0, 1, 2, 5, 8]


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_a_filled_cache_is_read_and_no_file(kind, source, tmp_path, monkeypatch):
    cache, seconds = data._filled_cache(kind, tmp_path / "decoded", source, SMALL, 1)
    assert seconds > 0
    (store,) = cache.stores
    assert store.filled == 6

    def decode(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr(jaxnext.data.cache.decoded, "decode", decode)
    assert data._turn(source, SMALL, 1, cache, 2) > 0
    with pytest.raises(AssertionError, match="decoded"):
        data._turn(source, SMALL, 1)


def test_an_image_that_cannot_be_read_is_an_error(source, tmp_path):
    file = next((tmp_path / "train").rglob("*.jpg"))
    file.write_bytes(b"")
    with pytest.raises(JaxnextError) as error:
        data._turn(source, SMALL, 1)
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

    monkeypatch.setattr(loader, "stream", stream)
    monkeypatch.setattr(loader, "default_workers", lambda cores, source, cache: workers)
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    assert data._turn(source, SMALL, 1) == 0.5
    # Ten batches a process or thread are counted, in whole epochs of two batches.
    assert asked == [(batches, workers, 1)]


def test_augmentation_alone_draws_as_many_batches_as_the_images_fill(source, monkeypatch):
    steps: list[int] = []

    class Noting(original.Augmentation):
        def draw(self, seed, step, rows, image_size):
            steps.append(step)
            return super().draw(seed, step, rows, image_size)

    monkeypatch.setattr(original, "Augmentation", Noting)
    turn = data._augmentation(source, SMALL, ["original"])
    assert steps == [0, 1]
    monkeypatch.setattr(time, "perf_counter", Ticks())
    # One second from one look at the clock to the next, over two batches of four rows.
    assert turn() == 1 / 8
