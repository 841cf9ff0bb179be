"""Runs that end before their last epoch, and go on."""

import itertools

import pytest
from small_run import assert_same_model, metrics, run_env, train

from jaxnext.config.training import EarlyStoppingConfig, TrainingConfig

# A loss that has to fall by 10 never does.
NEVER = TrainingConfig(early_stopping=EarlyStoppingConfig(patience=0, min_delta=10.0))


def seconds():
    """Each look at the clock takes a second."""
    ticks = itertools.count()
    return {"clock": lambda: float(next(ticks))}


def test_a_run_without_improvement_is_done_and_goes_on_with_more_patience(images, tmp_path):
    lines: list[str] = []
    progress = train(tmp_path / "r", images, env=run_env(lines=lines), epochs=3, training=NEVER)
    assert len(progress.history) == 2
    done = "done after 2 of 3 epochs, as the validation loss has not improved for 1 epoch: best validation accuracy "
    assert lines[-1].startswith(done)
    again: list[str] = []
    train(tmp_path / "r", images, resume=True, env=run_env(lines=again), epochs=3, training=NEVER)
    assert again[-1] == lines[-1]
    assert not any(line.startswith("compiled") for line in again)
    assert len(train(tmp_path / "r", images, resume=True, epochs=3).history) == 3


@pytest.mark.slow
def test_hours_that_end_in_mid_epoch_end_in_a_checkpoint_from_which_the_run_goes_on(images, tmp_path):
    lines: list[str] = []
    limit = TrainingConfig(hours=18 / 3600)
    env = run_env(lines=lines, host=seconds())
    progress = train(tmp_path / "r", images, env=env, epochs=2, training=limit)
    assert 0 < progress.position < 10
    assert lines[-1] == (
        "done after 0 of 2 epochs, as training.hours (0.005) are over or too short for another; checkpoints, "
        f"metrics and curves are in {tmp_path / 'r'}; go on with: --resume auto"
    )
    train(tmp_path / "r", images, resume=True, epochs=2)
    train(tmp_path / "whole", images, epochs=2)
    assert_same_model(tmp_path / "r", tmp_path / "whole")


@pytest.mark.slow
def test_hours_too_short_for_another_epoch_end_the_run_after_one(images, tmp_path):
    long = TrainingConfig(hours=1000.0)
    train(tmp_path / "whole", images, env=run_env(host=seconds()), epochs=3, training=long)
    took = metrics(tmp_path / "whole")[0]["seconds"]
    lines: list[str] = []
    limit = TrainingConfig(hours=1.75 * took / 3600)
    progress = train(tmp_path / "r", images, env=run_env(lines=lines, host=seconds()), epochs=3, training=limit)
    assert progress.position == 13
    assert lines[-1].startswith("done after 1 of 3 epochs, as training.hours (")
    # As many hours are enough for another epoch when it is started again.
    train(tmp_path / "r", images, resume=True, env=run_env(host=seconds()), epochs=3, training=limit)
    assert len(metrics(tmp_path / "r")) == 2
