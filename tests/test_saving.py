import dataclasses
import itertools
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import small_run
from small_run import (
    TRAIN_STEPS,
    VAL_STEPS,
    assert_same_model,
    fit_with,
    metrics,
    model_of,
    run_env,
    stop_after,
    train,
    without_times,
)

from jaxnext.config.training import CheckpointConfig
from jaxnext.data.loader import Stream
from jaxnext.data.order import ShuffledOrder
from jaxnext.data.splits import load_splits
from jaxnext.errors import JaxnextError
from jaxnext.training import saving
from jaxnext.training.writer import Writer


def test_checkpoints_best_last_and_every(run):
    best = max(metrics(run), key=lambda r: r["val_accuracy"])
    numbers = {
        kind: sorted(p.name for p in (run / "checkpoints" / kind).iterdir()) for kind in ("best", "last", "every")
    }
    last = [str(epochs * (TRAIN_STEPS + VAL_STEPS)) for epochs in (3, 4)]
    assert numbers == {"best": [str(best["epoch"])], "last": last, "every": ["3"]}
    variables, meta = model_of(run, "best")
    assert meta.classes == small_run.CLASSES
    assert meta.trained == ("backbone", "attention", "head")
    assert (meta.epoch, meta.val_accuracy) == (best["epoch"], best["val_accuracy"])
    assert set(variables) == {"params", "batch_stats"}
    assert not (run / "checkpoints" / "best" / str(best["epoch"]) / "optimizer").exists()


@pytest.mark.draws_curves
def test_files_lost_after_the_last_checkpoint_are_written_again(run, images, tmp_path):
    shutil.copytree(run, tmp_path / "r")
    for name in ("metrics.jsonl", "loss.png", "accuracy.png"):
        (tmp_path / "r" / name).unlink()
    train(tmp_path / "r", images, resume=True, checkpoint=small_run.EVERY_THIRD)
    assert metrics(tmp_path / "r") == metrics(run)
    assert (tmp_path / "r" / "loss.png").read_bytes() == (run / "loss.png").read_bytes()


def test_parameters_that_are_not_finite_are_not_saved(images, tmp_path, monkeypatch):
    train(tmp_path / "r", images, epochs=1)
    good = model_of(tmp_path / "r")[0]
    monkeypatch.setattr(saving, "model_of", lambda state: {"params": {"a": np.array([1, np.inf])}})
    with pytest.raises(JaxnextError, match=r"^the network is nan in epoch 2, at learning rate .* is kept in"):
        train(tmp_path / "r", images, resume=True, epochs=2, env=run_env(stop_after(3)))
    monkeypatch.undo()
    jax.tree.map(np.testing.assert_array_equal, model_of(tmp_path / "r")[0], good)


def test_a_run_whose_folder_is_removed_does_not_end_well(images, tmp_path):
    output, stop, lines = tmp_path / "r", stop_after(3), []

    def remove():
        if stop():
            shutil.rmtree(output, ignore_errors=True)
        return False

    with pytest.raises(JaxnextError) as error:
        train(output, images, epochs=1, env=run_env(remove, lines))
    assert str(error.value) == (
        f"{output}: the folder, or the .lock in it, has been removed or replaced while this process was training into "
        "it; what it held is lost, unless it has been moved elsewhere"
    )
    assert not output.exists()
    assert not any(line.startswith("done") for line in lines)


def test_a_run_without_its_best_checkpoint_is_not_done(tmp_path):
    place = tmp_path / "best"
    run = SimpleNamespace(
        processes=SimpleNamespace(first=True), check_there=lambda: None, checkpoints=SimpleNamespace(root=tmp_path)
    )
    saving.check_saved(run, SimpleNamespace(best=None))
    (place / "3.orbax-checkpoint-tmp").mkdir(parents=True)
    with pytest.raises(JaxnextError) as error:
        saving.check_saved(run, SimpleNamespace(best={"epoch": 3}))
    assert str(error.value) == f"{place}: expected the run's best checkpoint, found that it has been removed"
    (place / "3").mkdir()
    saving.check_saved(run, SimpleNamespace(best={"epoch": 3}))


@pytest.mark.slow
def test_steps_done_before_a_corrupt_image_are_kept(tmp_path):
    path, lines = small_run.write_images(tmp_path / "data", {"train": 2, "val": 1}), []
    last = ShuffledOrder(24, 12, 10, 1, 0).locate(2).ids[0]
    file = Path(load_splits(small_run.config(path).data, 0).train.location(int(last)))
    image = file.read_bytes()
    file.write_bytes(b"not a picture")
    with pytest.raises(JaxnextError, match="the image cannot be read"):
        fit_with(tmp_path / "r", path, [], epochs=1)
    file.write_bytes(image)
    resumed = fit_with(tmp_path / "r", path, lines, epochs=1, resume=True)
    assert "resuming after epoch 0, batch 2 of the run" in lines
    whole = fit_with(tmp_path / "whole", path, [], epochs=1)
    assert resumed.history[0]["val_loss"] == whole.history[0]["val_loss"]


@pytest.mark.slow
@pytest.mark.parametrize("batches", [4, TRAIN_STEPS + 1], ids=["in training", "in validation"])
def test_a_cache_that_fails_saves_what_is_done(batches, run, images, tmp_path, monkeypatch):
    following, count = Stream.__next__, itertools.count()

    def full(self):
        if next(count) == batches:
            raise JaxnextError("the disk is full")
        return following(self)

    monkeypatch.setattr(Stream, "__next__", full)
    with pytest.raises(JaxnextError, match="the disk is full"):
        train(tmp_path / "r", images, checkpoint=small_run.EVERY_THIRD)
    monkeypatch.undo()
    lines = []
    train(tmp_path / "r", images, resume=True, env=run_env(lines=lines), checkpoint=small_run.EVERY_THIRD)
    assert f"resuming after epoch 0, batch {min(batches, TRAIN_STEPS)} of the run" in lines
    assert_same_model(tmp_path / "r", run)


def within_epochs(**values):
    """Settings of a run that is saved within its epochs, by steps alone."""
    return {"checkpoint": CheckpointConfig(every_epochs=3, every_minutes=None, **values)}


@pytest.fixture
def written(monkeypatch):
    """Positions that are written, those within epochs not in truth; each that is due is waited for."""
    positions, write, start = [], saving._write_last, Writer.start

    def noted(run, variables, rest, progress):
        positions.append(progress.position)
        if progress.position % (TRAIN_STEPS + VAL_STEPS) == 0:
            write(run, variables, rest, progress)

    def waited_for(self, write):
        start(self, write)
        self.close()

    monkeypatch.setattr(saving, "_write_last", noted)
    monkeypatch.setattr(Writer, "start", waited_for)
    return positions


@pytest.mark.slow
def test_killed_within_an_epoch_it_goes_on_from_the_step_that_was_saved(run, images, tmp_path, monkeypatch):
    lines, save = [], saving.save_beside

    def killed(run, state, progress, *, given_up):
        save(run, state, progress, given_up=given_up)
        # As the next step does: what is written is a copy.
        jax.tree.map(lambda leaf: leaf.delete(), (state.params, state.optimizer, state.batch_stats))
        run.writer.wait()
        raise SystemExit("killed")

    monkeypatch.setattr("jaxnext.training.epoch.save_beside", killed)
    with pytest.raises(SystemExit, match="killed"):
        train(tmp_path / "r", images, **within_epochs(every_steps=4))
    monkeypatch.undo()
    train(tmp_path / "r", images, resume=True, env=run_env(lines=lines), checkpoint=small_run.EVERY_THIRD)
    assert "resuming after epoch 0, batch 4 of the run" in lines
    assert_same_model(tmp_path / "r", run)
    assert without_times(metrics(tmp_path / "r")) == without_times(metrics(run))


def test_every_so_many_steps_and_once_where_validation_begins(written, images, tmp_path):
    train(tmp_path / "r", images, epochs=1, **within_epochs(every_steps=3))
    assert written == [3, 6, 9, 13]
    written.clear()
    train(tmp_path / "r", images, resume=True, epochs=2, **within_epochs(every_steps=1))
    assert written == [*range(14, 23), 23, 26]


def test_saved_when_asked_in_training_and_in_validation(written, images, tmp_path):
    count = itertools.count()
    calls = [0]

    def stop():
        """Is asked before the first step, after each and after each batch of validation."""
        calls[0] = next(count)
        return False

    # For the first time during the fifth step, then in validation.
    env = dataclasses.replace(run_env(stop), saves_asked=lambda: (calls[0] >= 5) + (calls[0] >= 12))
    train(tmp_path / "r", images, epochs=1, env=env, checkpoint=CheckpointConfig(every_minutes=None))
    assert written == [5, 10, 13]


def test_by_time_the_state_is_saved_while_training_goes_on(written, images, tmp_path):
    # The clock counts its calls in eighths of a second.
    train(tmp_path / "r", images, epochs=1, checkpoint=CheckpointConfig(every_minutes=1 / 60))
    assert written[-1] == 13
    assert 1 < len(written) < 10


def test_a_write_that_fails_ends_the_run_with_its_sentence_and_leaves_no_thread(images, tmp_path, monkeypatch):
    def full(*_):
        raise JaxnextError("the disk is full")

    monkeypatch.setattr(saving, "_write_last", full)
    with pytest.raises(JaxnextError, match=r"^the disk is full$"):
        train(tmp_path / "r", images, epochs=1, **within_epochs(every_steps=2))
    assert "checkpoint writer" not in [thread.name for thread in threading.enumerate()]
    assert not (tmp_path / "r" / "metrics.jsonl").exists()
