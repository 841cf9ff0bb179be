import itertools
import json
import math
from unittest.mock import create_autospec

import jax
import numpy as np
import pytest
import small_run
from small_run import (
    TRAIN_STEPS,
    VAL_STEPS,
    assert_same_model,
    data,
    fit_with,
    metrics,
    model_of,
    run_env,
    spoiled,
    stop_after,
    train,
    without_times,
)

from jaxnext.config.sections import OPTIMIZERS, SCHEDULES
from jaxnext.config.yaml_text import load_config
from jaxnext.data.loader import Stream
from jaxnext.data.order import ShuffledOrder
from jaxnext.errors import JaxnextError
from jaxnext.training import epochs as module
from jaxnext.training.compiled_steps import CompiledSteps
from jaxnext.training.fit import fit
from jaxnext.training.processes import Processes


def test_a_run_learns_and_leaves_its_files(run, images):
    records = metrics(run)
    assert [r["epoch"] for r in records] == [1, 2, 3, 4]
    assert set(records[0]) == {
        "epoch",
        "train_loss",
        "train_accuracy",
        "val_loss",
        "val_accuracy",
        "learning_rate",
        "images_per_second",
        "data_wait_fraction",
        "seconds",
    }
    assert max(r["val_accuracy"] for r in records) >= 0.75
    assert records[-1]["train_loss"] < records[0]["train_loss"]
    assert all(0 <= r["data_wait_fraction"] <= 1 for r in records)
    assert load_config(run / "config.yaml") == small_run.config(images, checkpoint=small_run.EVERY_THIRD)
    described = json.loads((run / "run.json").read_text())
    assert (described["train_images"], described["val_images"]) == (96, 24)
    assert described["classes"] == list(small_run.CLASSES)
    assert (run / "loss.png").read_bytes()[:4] == (run / "accuracy.png").read_bytes()[:4] == b"\x89PNG"
    left = sorted(path.name for path in run.iterdir())
    files = ["accuracy.png", "checkpoints", "config.yaml", "first_batch.png", "loss.png", "metrics.jsonl", "run.json"]
    assert left == [*files, "validation_batch.png"]


# stop() is asked once an epoch before it, once a step, and again between training and validation
@pytest.mark.slow
@pytest.mark.parametrize(
    "calls", [4, 1 + TRAIN_STEPS, 1 + TRAIN_STEPS + 2], ids=["in training", "before validation", "in validation"]
)
def test_interrupted_anywhere_it_resumes_bit_for_bit(calls, run, images, tmp_path):
    lines = []
    env = run_env(stop_after(calls), lines, console={"resume_command": "again --resume auto"})
    stopped = train(tmp_path / "r", images, env=env, checkpoint=small_run.EVERY_THIRD)
    assert not stopped.history
    assert 0 < stopped.position <= TRAIN_STEPS
    assert lines[-1] == "stopped and saved; go on with: again --resume auto"
    train(tmp_path / "r", images, resume=True, checkpoint=small_run.EVERY_THIRD)
    assert_same_model(tmp_path / "r", run)
    assert without_times(metrics(tmp_path / "r")) == without_times(metrics(run))


@pytest.mark.slow
def test_the_last_line_says_how_well_and_where(run, images, tmp_path):
    lines = []
    train(run, images, resume=True, env=run_env(lines=lines), checkpoint=small_run.EVERY_THIRD)
    best = max(metrics(run), key=lambda r: r["val_accuracy"])
    assert lines[-1] == (
        f"done: best validation accuracy {best['val_accuracy']:.2%} in epoch {best['epoch']}; "
        f"checkpoints, metrics and curves are in {run}"
    )


@pytest.mark.slow
def test_bfloat16_learns_and_keeps_float32_parameters(images, tmp_path):
    train(tmp_path / "r", images, precision="bfloat16")
    assert max(r["val_accuracy"] for r in metrics(tmp_path / "r")) >= 0.75
    variables, _ = model_of(tmp_path / "r")
    kinds = {leaf.dtype.name for leaf in jax.tree.leaves(variables)}
    assert kinds == {"float32", "int32"}


def test_resume_of_a_finished_run_does_nothing(run, images):
    before = sorted((p.name, p.stat().st_mtime_ns) for p in (run / "checkpoints").rglob("*"))
    progress = train(run, images, resume=True, checkpoint=small_run.EVERY_THIRD)
    assert progress.position == 4 * (TRAIN_STEPS + VAL_STEPS)
    assert sorted((p.name, p.stat().st_mtime_ns) for p in (run / "checkpoints").rglob("*")) == before


@pytest.mark.slow
def test_a_run_on_two_devices_pads_and_counts_every_image(images, tmp_path):
    train(tmp_path / "r", images, env=run_env(devices=2), epochs=1, batch_size=9)
    (record,) = metrics(tmp_path / "r")
    assert record["train_accuracy"] * 96 == pytest.approx(round(record["train_accuracy"] * 96))
    assert record["val_accuracy"] * 24 == pytest.approx(round(record["val_accuracy"] * 24))


def test_plateau_lowers_the_learning_rate_of_the_next_epoch(images, tmp_path):
    train(
        tmp_path / "r",
        images,
        epochs=3,
        optimizer=OPTIMIZERS.choose("adam", learning_rate=1e-6),
        schedule=SCHEDULES.choose("plateau", patience=0, threshold=0.9),
    )
    assert [r["learning_rate"] for r in metrics(tmp_path / "r")] == [1e-6, 1e-6, pytest.approx(1e-7)]


def test_out_of_memory_names_the_batch_size(images, tmp_path, monkeypatch):
    def exhausted(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 12345 bytes.")

    monkeypatch.setattr("jaxnext.training.compiled_steps.CompiledSteps.compile", exhausted)
    with pytest.raises(JaxnextError) as error:
        train(tmp_path / "r", images)
    assert str(error.value) == "out of memory with batch_size 10 and data.image_size 16; try --batch_size 5"


def test_corrupt_image_stops_the_run_with_its_name(tmp_path):
    data = small_run.write_images(tmp_path / "data", {"train": 2, "val": 1})
    (data / "train" / "3" / "1.jpg").write_bytes(b"not a picture")
    with pytest.raises(JaxnextError) as error:
        train(tmp_path / "r", data)
    assert (
        str(error.value)
        == f"{data / 'train' / '3' / '1.jpg'}: the image cannot be read (not an image that Pillow can read)"
    )


def test_a_run_goes_on_without_corrupt_images_and_lists_them(tmp_path):
    path, lines = spoiled(tmp_path / "data", "train/3/1.jpg", "train/5/0.jpg", "val/7/0.jpg"), []
    bad = [path / name for name in ("train/3/1.jpg", "train/5/0.jpg", "val/7/0.jpg")]
    small_run.picture("3", 0).save(path / "train/3/0.jpg", icc_profile=b"any")
    progress = fit_with(tmp_path / "r", path, lines, on_corrupt="skip")
    named = [line for line in lines if "cannot be read" in line]
    assert sorted(named) == [
        f"{file}: the image cannot be read (not an image that Pillow can read); training goes on without it"
        for file in bad
    ]
    rows = (tmp_path / "r" / "corrupt.csv").read_text().splitlines()
    assert rows[0] == "path,error"
    assert sorted(rows[1:]) == [f"{file},not an image that Pillow can read" for file in bad]
    assert sum(line.endswith("; 3 images left out as corrupt") for line in lines) == 3
    assert [line for line in lines if "ICC" in line] == [
        "images with an ICC profile: 1; their colours are taken as they are stored"
    ]
    # 22 of 24 images were trained on.
    for record in progress.history:
        assert 22 * record["train_accuracy"] == pytest.approx(round(22 * record["train_accuracy"]))
        assert 11 * record["val_accuracy"] == pytest.approx(round(11 * record["val_accuracy"]))
        # The clock counts in eighths of a second.
        eighths = 8 * 22 / record["images_per_second"]
        assert eighths == pytest.approx(round(eighths))


@pytest.mark.slow
def test_the_list_of_corrupt_images_survives_a_resume(tmp_path):
    path = spoiled(tmp_path / "data", "train/3/1.jpg", "val/7/0.jpg")
    fit_with(tmp_path / "r", path, [], on_corrupt="skip", stop=stop_after(5))
    listed = (tmp_path / "r" / "corrupt.csv").read_text().splitlines()
    lines = []
    fit_with(tmp_path / "r", path, lines, on_corrupt="skip", resume=True)
    after = (tmp_path / "r" / "corrupt.csv").read_text().splitlines()
    assert after[: len(listed)] == listed
    assert len(after) == 3
    assert lines[-1].endswith("; 2 images left out as corrupt")
    whole = fit_with(tmp_path / "whole", path, [], on_corrupt="skip")
    assert whole.history
    assert_same_model(tmp_path / "r", tmp_path / "whole")


def test_a_batch_of_corrupt_images_only_is_harmless(tmp_path):
    path = small_run.write_images(tmp_path / "data", {"train": 2, "val": 1})
    schedule = ShuffledOrder(24, 12, 10, 2, 0)
    files = sorted((path / "train").rglob("*.jpg"))
    for index in schedule.locate(1).ids:
        files[index].write_bytes(b"")
    progress = fit_with(tmp_path / "r", path, [], on_corrupt="skip")
    assert all(math.isfinite(value) for record in progress.history for value in record.values())


def test_without_a_validation_image_the_run_ends(tmp_path):
    path = spoiled(tmp_path / "data", *(f"val/{name}/0.jpg" for name in small_run.CLASSES))
    with pytest.raises(JaxnextError) as error:
        fit_with(tmp_path / "r", path, [], on_corrupt="skip")
    assert str(error.value) == (
        f"expected validation images, found that not one can be read; {tmp_path / 'r' / 'corrupt.csv'} has the reasons"
    )
    assert len((tmp_path / "r" / "corrupt.csv").read_text().splitlines()) == 13


@pytest.mark.slow
def test_a_cache_does_not_change_a_run(run, images, tmp_path):
    for kind in ("memory", "disk"):
        place = str(tmp_path / "c") if kind == "disk" else None
        config = small_run.config(
            images, checkpoint=small_run.EVERY_THIRD, **data(images, cache=kind, cache_path=place)
        )
        fit(config, tmp_path / kind, False, run_env())
        assert_same_model(tmp_path / kind, run)
    lines = []
    config = small_run.config(images, epochs=1, **data(images, cache="disk", cache_path=str(tmp_path / "c")))
    fit(config, tmp_path / "again", False, run_env(lines=lines, host={"boot": "another"}))
    # Both stores were settled, so that they outlive another start of the machine.
    assert [line.rpartition(": ")[2] for line in lines if line.startswith("decoded cache")] == [
        "96 of 96 images, 0.1 MB when full",
        "24 of 24 images, 0.0 MB when full",
    ]


@pytest.mark.slow
def test_threads_take_over_from_workers_when_the_cache_is_warm(run, images, tmp_path, monkeypatch):
    opened = create_autospec(module.stream, side_effect=module.stream)
    monkeypatch.setattr(module, "stream", opened)
    monkeypatch.setattr(module, "default_workers", lambda cores, source, cache: int(not cache.warm))
    config = small_run.config(
        images, checkpoint=small_run.EVERY_THIRD, **data(images, cache="disk", cache_path=str(tmp_path / "c"))
    )
    fit(config, tmp_path / "r", False, run_env())
    found = [(call.kwargs["workers"], call.kwargs["start"]) for call in opened.call_args_list]
    assert found == [(1, 0), (0, TRAIN_STEPS + VAL_STEPS)]
    assert_same_model(tmp_path / "r", run)


@pytest.mark.slow
def test_the_share_of_time_that_an_epoch_waited_for_data(images, tmp_path, monkeypatch):
    """A batch takes a second to come and a step a quarter to send; every other step has ended by the next batch."""
    now, ready = [0.0], itertools.cycle([True, False])
    following = Stream.__next__

    class Loss(np.ndarray):
        def is_ready(self):
            return next(ready)

    def slow(self):
        now[0] += 1
        return following(self)

    def sent(step):
        def slower(*arguments):
            now[0] += 0.25
            *state, sums = found if isinstance(found := step(*arguments), tuple) else (found,)
            sums = sums | {"loss": np.asarray(sums["loss"]).view(Loss)}
            return (*state, sums) if state else sums

        return slower

    monkeypatch.setattr(Stream, "__next__", slow)
    for name in ("train", "evaluate"):
        monkeypatch.setattr(CompiledSteps, name, sent(getattr(CompiledSteps, name)))
    monkeypatch.setattr(CompiledSteps, "compile", lambda *_: "")
    monkeypatch.setattr(CompiledSteps, "temporary_memory", lambda _: 0)
    lines = []
    env = run_env(lines=lines, host={"clock": lambda: now[0]})
    train(tmp_path / "r", images, env=env, epochs=1)
    # Of 10 and 3 batches the first is waited for, and then the second, fourth, ... of what is left: 1 + 5 and 1 + 1.
    (record,) = metrics(tmp_path / "r")
    assert record["seconds"] == 13 * 1.25
    assert record["data_wait_fraction"] == 8 / 16.25
    assert record["images_per_second"] == 96 / 12.5
    assert next(line for line in lines if line.startswith("epoch 1/1: ")).endswith("data wait 49.2%")


def test_a_step_is_waited_for_when_the_next_one_is_sent(images, tmp_path, monkeypatch):
    done = []

    def noted(what, function):
        def call(*arguments):
            done.append(what)
            return function(*arguments)

        return call

    for name in ("train", "evaluate"):
        monkeypatch.setattr(CompiledSteps, name, noted(f"send {name}", getattr(CompiledSteps, name)))
    monkeypatch.setattr(Processes, "note", noted("wait", Processes.note))
    train(tmp_path / "r", images, epochs=1)
    steps = {"train": TRAIN_STEPS, "evaluate": VAL_STEPS}
    assert done == [
        what
        for name, count in steps.items()
        for what in (f"send {name}", *(f"send {name}", "wait") * (count - 1), "wait")
    ]
