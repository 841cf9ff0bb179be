import itertools
import math

import numpy as np
import pytest
import small_run
from small_run import TRAIN_STEPS, VAL_STEPS, fit_with, metrics, run_env, spoiled, train

from jaxnext.data.loader import Stream
from jaxnext.data.order import ShuffledOrder
from jaxnext.errors import JaxnextError
from jaxnext.training.compiled_steps import CompiledSteps
from jaxnext.training.processes import Processes


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


def test_a_batch_of_corrupt_images_only_is_harmless(tmp_path):
    path = small_run.write_images(tmp_path / "data", {"train": 2, "val": 1})
    schedule = ShuffledOrder(24, 12, 10, 2, 0)
    files = sorted((path / "train").rglob("*.jpg"))
    for index in schedule.locate(1).ids:
        files[index].write_bytes(b"")
    progress = fit_with(tmp_path / "r", path, [], on_corrupt="skip")
    assert all(math.isfinite(value) for record in progress.history for value in record.values())


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
