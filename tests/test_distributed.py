"""Whole runs of two processes, and of three: what they compute, read, write and say, and how they end.

96 training images in batches of 10 and 24 validation images: 10 and 3 batches an epoch. Each process holds a device and
reads 5 rows of each batch; of the last one, with 6 images, the second reads one.
"""

import dataclasses
import json
import platform
import re
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
import several_processes
import small_run
from layouts import written
from small_run import run_env, stop_after
from tolerances import FLOAT64_PROCESSES

from jaxnext.config.yaml_text import dump_config
from jaxnext.data.order import ShuffledOrder
from jaxnext.engine.checkpoint import Checkpoints
from jaxnext.folder_lock import LOCK
from jaxnext.training.fit import fit

pytestmark = pytest.mark.slow

EPOCHS = 2
SCHEDULE = ShuffledOrder(train_size=96, val_size=24, batch_size=10, epochs=EPOCHS, seed=0)
TIMES = ("images_per_second", "data_wait_fraction", "seconds")
GLOO = re.compile(r"^\[Gloo\] Rank .*\n", re.MULTILINE)


def metrics(output) -> list[dict]:
    records = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in record.items() if name not in TIMES} for record in records]


def weights(output):
    with Checkpoints(output) as checkpoints:
        return checkpoints.restore_model("last")[0]


def schedule_ids() -> list[list[int]]:
    """The ids of each training batch of the run."""
    plans = map(SCHEDULE.locate, range(len(SCHEDULE)))
    return [plan.ids.tolist() for plan in plans if plan.training]


@pytest.fixture
def folder(images, tmp_path):
    (tmp_path / "small.yaml").write_text(dump_config(small_run.config(images, epochs=EPOCHS)))
    return tmp_path


def one_process(output, images, **changes) -> None:
    """The same run in this process, on two of its devices."""
    resume = changes.pop("resume", False)
    env = changes.pop("env", None) or run_env(devices=2)
    small_run.train(output, images, resume, env, **{"epochs": EPOCHS, **changes})


def test_sigterm_to_one_stops_both_and_the_resumed_run_is_that_of_one_process_bit_for_bit(folder, images):
    first, second = several_processes.train(folder, "--output", "r", ends=("-", "SIGTERM:13"), draws=True)
    assert (first.status, second.status) == (130, 130), (first, second)
    # Sent before step 13 is started, it goes with step 14, whose sums are read when step 15 has been started.
    assert [step for step, _ in several_processes.ids_of(folder)] == list(range(16))
    said = GLOO.sub("", first.stdout).splitlines()
    assert said[-1].startswith("stopped and saved; go on with: ")
    assert said[-1].endswith("--process_id 0 --resume auto")
    assert GLOO.sub("", second.stdout) == ""
    assert "Traceback" not in first.stderr + second.stderr

    first, second = several_processes.train(folder, "--output", "r", "--resume", "auto")
    assert (first.status, second.status) == (0, 0), (first, second)
    assert "resuming after epoch 1, batch 19 of the run" in first.stdout
    trained = several_processes.ids_of(folder)
    assert [step for step, _ in trained] == list(range(20))
    assert [[i for i in ids if i >= 0] for _, ids in trained] == schedule_ids()
    for epoch in (trained[:10], trained[10:]):
        assert sorted(i for _, ids in epoch for i in ids if i >= 0) == list(range(96))

    one_process(folder / "one", images)
    assert metrics(folder / "r") == metrics(folder / "one")
    jax.tree.map(np.testing.assert_array_equal, weights(folder / "r"), weights(folder / "one"))
    assert json.loads((folder / "r" / "run.json").read_text())["processes"] == 2


def test_one_stops_two_read_an_archive_until_one_is_frozen_then_three_go_on_then_one_float64(folder, images):
    archive = written("zip", images, folder / "zip")["path"]
    options = ("--output", "r", "--precision", "float64", "--data.path", archive)
    with jax.enable_x64(True):
        one_process(folder / "r", Path(archive), precision="float64", env=run_env(stop_after(6), devices=2))

    def whole():
        with jax.enable_x64(True):
            one_process(folder / "one", images, precision="float64", epochs=3)

    # While the first waits for the second.
    ends = ("-", "SIGSTOP:13")
    first, second = several_processes.train(folder, *options, "--resume", "auto", ends=ends, meanwhile=whole)
    again = "start all again with --resume auto\n"
    assert (first.status, first.stderr) == (1, f"error: process 1 has given no sign of life for 20 s; {again}")
    # Woken when the first had ended.
    assert (second.status, second.stderr) == (1, f"error: process 0 has ended without a word; {again}")
    assert re.search(r"^resuming after epoch 0, batch 6 of the run", first.stdout, re.MULTILINE)
    trained = several_processes.ids_of(folder, common=True)
    assert [step for step, _ in trained] == list(range(6, 13))
    assert [[i for i in ids if i >= 0] for _, ids in trained] == schedule_ids()[6:13]
    launched = several_processes.launch(folder, 3, *options, "--resume", "auto")
    assert (launched.status, launched.stderr) == (0, "")
    assert "resuming after epoch 1, batch 13 of the run" in launched.stdout
    with jax.enable_x64(True):
        one_process(folder / "r", Path(archive), precision="float64", epochs=3, resume=True)
    assert metrics(folder / "r") == [
        pytest.approx(record, rel=FLOAT64_PROCESSES, abs=0) for record in metrics(folder / "one")
    ]


def test_an_error_in_one_process_ends_both_with_its_sentence(folder, images):
    data = folder / "data"
    shutil.copytree(images, data)
    names = sorted(path.relative_to(data / "train").as_posix() for path in (data / "train").glob("*/*.jpg"))
    # The one that process 1 reads first.
    unreadable = data / "train" / names[schedule_ids()[0][5]]
    unreadable.write_bytes(b"not a picture")
    first, second = several_processes.train(folder, "--output", "r", "--data.path", data)
    sentence = f"{unreadable}: the image cannot be read (not an image that Pillow can read)"
    assert (second.status, second.stderr) == (1, f"error: {sentence}\n")
    assert (first.status, first.stderr) == (1, f"error: process 1 has ended: {sentence}\n")


def test_a_process_that_sees_another_run_or_has_other_options_ends_all_before_training(folder, images):
    one_process(folder / "r", images, env=run_env(stop_after(4), devices=2))

    def times():
        """When each file was changed; the lock of a process that ended at once stays, unlocked."""
        return {
            path: path.stat().st_mtime_ns for path in (folder / "r").rglob("*") if path.is_file() and path.name != LOCK
        }

    before = times()
    first, second = several_processes.train(folder, "--resume", "auto", own=(["--output", "r"], ["--output", "empty"]))
    sentence = (
        "process 1 differs from process 0 in the newest checkpoint: expected number 4, found none; "
        "all processes must see the same folder empty"
    )
    assert (second.status, second.stderr) == (1, f"error: {sentence}\n")
    assert (first.status, first.stderr) == (1, f"error: process 1 has ended: {sentence}\n")
    assert times() == before
    assert not (folder / "empty").exists()
    assert not (folder / "ids_0").exists()


def spoiled(folder, images) -> tuple[Path, list[Path]]:
    """A copy of the images, and the files in it that are none any more: one in each process's rows, one of val."""
    data = folder / "data"
    shutil.copytree(images, data)
    names = sorted(path.relative_to(data / "train").as_posix() for path in (data / "train").glob("*/*.jpg"))
    bad = [data / "train" / names[schedule_ids()[0][row]] for row in (1, 6)] + [data / "val" / "7" / "0.jpg"]
    for file in bad:
        file.write_bytes(b"not a picture")
    return data, bad


def test_corrupt_images_of_both_processes_are_left_out_and_listed(folder, images):
    data, bad = spoiled(folder, images)
    cache = ("--workers", "1", "--data.cache", "disk", "--data.cache_path", folder / "cache")
    options = ("--data.path", data, "--data.on_corrupt", "skip", *cache)
    first, second = several_processes.train(folder, "--output", "r", *options)
    assert (first.status, second.status) == (0, 0), (first, second)
    assert GLOO.sub("", first.stdout).splitlines()[-1].endswith("; 3 images left out as corrupt")
    caches = [json.loads(file.read_text()) for file in (folder / "cache").rglob("cache.json")]
    assert {(cache["machine"], cache["count"]) for cache in caches} == {(platform.node(), 96), (platform.node(), 24)}
    listed = (folder / "r" / "corrupt.csv").read_text().splitlines()
    assert sorted(listed[1:]) == sorted(f"{file},not an image that Pillow can read" for file in bad)
    named = [line.partition(": ")[0] for line in first.stderr.splitlines() if "cannot be read" in line]
    assert sorted(named) == sorted(map(str, bad))
    assert "cannot be read" not in second.stderr
    config = small_run.config(data).data
    alone = small_run.config(data, epochs=EPOCHS, data=dataclasses.replace(config, on_corrupt="skip"))
    fit(alone, folder / "one", False, run_env(devices=2))
    assert metrics(folder / "r") == metrics(folder / "one")
    jax.tree.map(np.testing.assert_array_equal, weights(folder / "r"), weights(folder / "one"))


def test_each_of_two_verifies_its_share(folder, images):
    data, bad = spoiled(folder, images)
    first, second = several_processes.train(folder, "--output", "r", "--data.path", data, "--data.verify", "true")
    assert (first.status, second.status) == (1, 1)
    reason = "the image cannot be read (not an image that Pillow can read)"
    *named, last = [line for line in first.stderr.splitlines() if "cannot be read" in line]
    assert sorted(named) == sorted(f"{file}: {reason}" for file in bad)
    assert last.startswith("error: 3 of 120 images cannot be read and are listed above")
    assert not (folder / "r").exists()
