import itertools
import shutil
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import small_run
from small_run import TRAIN_STEPS, VAL_STEPS, assert_same_model, fit_with, metrics, model_of, run_env, stop_after, train

from jaxnext.data.loader import Stream
from jaxnext.data.order import ShuffledOrder
from jaxnext.data.splits import load_splits
from jaxnext.errors import JaxnextError
from jaxnext.training import saving


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
    train(tmp_path / "r", images, resume=True, checkpoint_every=3)
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
        train(tmp_path / "r", images, checkpoint_every=3)
    monkeypatch.undo()
    lines = []
    train(tmp_path / "r", images, resume=True, env=run_env(lines=lines), checkpoint_every=3)
    assert f"resuming after epoch 0, batch {min(batches, TRAIN_STEPS)} of the run" in lines
    assert_same_model(tmp_path / "r", run)
