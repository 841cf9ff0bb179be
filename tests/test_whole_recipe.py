"""Runs with everything that this package adds to the original's training, interrupted and killed."""

import dataclasses
import subprocess
import sys

import jax
import numpy as np
import pytest
import several_processes
import small_run
from small_run import assert_same_model, metrics, model_of, run_env, stop_after, without_times

from jaxnext.config.sections import LOSSES, MixConfig
from jaxnext.config.training import CheckpointConfig, EmaConfig, TrainingConfig
from jaxnext.config.yaml_text import dump_config
from jaxnext.engine.checkpoint import Checkpoints
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.inference.evaluate import evaluate
from jaxnext.training.fit import fit

pytestmark = pytest.mark.slow

BATCHES = 13
"""Of an epoch: 10 of training in groups of 4, 4 and 2, and 3 of validation."""


def recipe(images, epochs=3):
    config = small_run.config(images, epochs=epochs)
    return dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, freeze=("stem", "stage2"), unfreeze={1: ("stage2",)}),
        data=dataclasses.replace(config.data, image_size={0: 12, epochs - 1: 16}, cache="memory"),
        mix=MixConfig(mixup=0.4, cutmix=1.0, probability=0.9, off_epochs=1),
        loss=LOSSES.choose("cross_entropy", label_smoothing=0.1, class_weights="balanced"),
        training=TrainingConfig(accumulate=4, recalibrate=True, ema=EmaConfig(decay=0.9), hours=100.0),
    )


@pytest.fixture(scope="module")
def whole(images, tmp_path_factory):
    output, lines = tmp_path_factory.mktemp("whole") / "r", []
    fit(recipe(images), output, False, run_env(lines=lines))
    return output, lines


def rest(output):
    """What the checkpoint ``last`` holds beside the model, by number."""
    with Checkpoints(output) as checkpoints:
        number = checkpoints.numbers("last")[-1]
        return checkpoints._folders["last"].read(number, ["optimizer"], [])[0]["optimizer"]


def test_each_phase_is_compiled_once_and_said(whole):
    _, lines = whole
    assert sum(line.startswith("compiled in ") for line in lines) == 3
    assert "from epoch 2 on: stage2 trained too" in lines
    assert "from epoch 3 on: training images 16x16" in lines
    assert "not trained: stem, stage2, 2,216 parameters; stage2 until epoch 1 is done" in lines


@pytest.mark.parametrize("calls", [3, 6, 14, 22, 31], ids=str)
def test_stopped_anywhere_it_goes_on_bit_for_bit(calls, whole, images, tmp_path):
    lines: list[str] = []
    fit(recipe(images), tmp_path / "r", False, run_env(stop_after(calls), lines))
    assert lines[-1].startswith("stopped and saved")
    fit(recipe(images), tmp_path / "r", True, run_env())
    assert without_times(metrics(tmp_path / "r")) == without_times(metrics(whole[0]))
    assert_same_model(tmp_path / "r", whole[0])
    jax.tree.map(np.testing.assert_array_equal, rest(tmp_path / "r"), rest(whole[0]))


def test_killed_in_the_middle_of_a_group_it_goes_on_bit_for_bit(whole, images, tmp_path):
    (tmp_path / "small.yaml").write_text(dump_config(recipe(images)))
    command = [sys.executable, str(several_processes.ROOT / "tests" / "recorded_train.py"), "ids", "SIGKILL:15"]
    command += ["--config", "small.yaml", "--output", "r"]
    killed = subprocess.run(command, cwd=tmp_path, env=several_processes.environment(), check=False)
    assert killed.returncode == -9
    fit(recipe(images), tmp_path / "r", True, run_env())
    assert without_times(metrics(tmp_path / "r")) == without_times(metrics(whole[0]))
    assert_same_model(tmp_path / "r", whole[0])
    jax.tree.map(np.testing.assert_array_equal, rest(tmp_path / "r"), rest(whole[0]))


def test_what_is_validated_is_what_is_saved_and_predicted_with(whole, images):
    output, _ = whole
    last = metrics(output)[-1]
    classifier = TrainedClassifier(output, "last", jax.devices()[:1])
    nothing = {"workers": 0, "cores": 1, "warn": lambda line: None, "progress": lambda batches, count: batches}
    sums = evaluate(classifier, None, batch_size=8, **nothing)  # pyright: ignore[reportArgumentType]
    assert sums.mean("loss") == pytest.approx(last["val_loss"], rel=1e-5)
    # The average's parameters are not those that are trained, which the rest holds.
    kernel = model_of(output)[0]["params"]["head"]["output"]["kernel"]
    others = [leaf for leaf in rest(output).values() if leaf.shape == kernel.shape]
    assert len(others) == 4  # two moments, the gathered gradients, the trained
    assert not any(np.array_equal(kernel, leaf) for leaf in others)


def test_two_processes_stopped_and_gone_on_are_one_on_two_devices(images, tmp_path):
    # The first saves within epochs, too, for which it needs no other.
    beside = CheckpointConfig(every_steps=2)
    config = dataclasses.replace(recipe(images, 2), precision="float64", checkpoint=beside)
    config = small_run.plain(config)
    (tmp_path / "small.yaml").write_text(dump_config(config))
    first, second = several_processes.train(tmp_path, "--output", "r", ends=("-", "SIGTERM:5"))
    assert (first.status, second.status) == (130, 130), (first, second)
    first, second = several_processes.train(tmp_path, "--output", "r", "--resume", "auto")
    assert (first.status, second.status) == (0, 0), (first, second)
    with jax.enable_x64(True):
        fit(config, tmp_path / "one", False, run_env(devices=2))
        for kind in ("best", "last"):
            found, expected = (model_of(tmp_path / name, kind)[0] for name in ("r", "one"))
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-9), found, expected)
