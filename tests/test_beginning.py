import dataclasses
import re

import pytest
import small_run
from small_run import (
    assert_same_model,
    fit_with,
    metrics,
    run_env,
    spoiled,
    stop_after,
    train,
    without_times,
)

from jaxnext.config.sections import OPTIMIZERS, SCHEDULES, Config, MixConfig
from jaxnext.config.yaml_text import load_config
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.training.beginning import check_mixed
from jaxnext.training.fit import fit


@pytest.mark.slow
def test_resume_with_more_epochs_is_the_longer_run(run, images, tmp_path):
    train(tmp_path / "r", images, epochs=2)
    train(tmp_path / "r", images, resume=True, epochs=4)
    assert_same_model(tmp_path / "r", run)


@pytest.mark.slow
def test_resume_with_fewer_epochs_than_are_done(run, images):
    with pytest.raises(UsageError) as error:
        train(run, images, resume=True, epochs=2, checkpoint=small_run.EVERY_THIRD)
    assert str(error.value) == "epochs: expected at least the 4 that this run has begun, found 2"
    assert load_config(run / "config.yaml").epochs == 4


ALL_OPTIONS = {"decay_norms": False, "clip_norm": 0.5, "multipliers": {"head": 2, "stem": 0.1}, "layer_decay": 0.75}
RECIPES = {
    "sgd, cosine": (
        OPTIMIZERS.choose("sgd", learning_rate=0.1, weight_decay=1e-3, nesterov=True, **ALL_OPTIONS),
        SCHEDULES.choose("cosine", warmup_epochs=0.5, min_learning_rate=1e-3),
    ),
    "adamw, one_cycle": (
        OPTIMIZERS.choose("adamw", learning_rate=1e-2, **ALL_OPTIONS),
        SCHEDULES.choose("one_cycle"),
    ),
    "sgd without a state, polynomial": (
        OPTIMIZERS.choose("sgd", learning_rate=0.1, momentum=0),
        SCHEDULES.choose("polynomial", power=0.9),
    ),
    "adam, step": (
        OPTIMIZERS.choose("adam", learning_rate=1e-2, clip_norm=1.0),
        SCHEDULES.choose("step", every=1, factor=0.5),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_a_run_of_each_recipe_that_was_stopped_in_both_epochs_goes_on_bit_for_bit(name, images, tmp_path):
    optimizer, schedule = RECIPES[name]
    changes = {"epochs": 2, "optimizer": optimizer, "schedule": schedule}
    train(tmp_path / "whole", images, **changes)
    # Asked 15 times in an epoch: in the middle of each.
    for calls in (5, 15, 30):
        train(tmp_path / "r", images, resume=True, env=run_env(stop_after(calls)), **changes)
    assert without_times(metrics(tmp_path / "r")) == without_times(metrics(tmp_path / "whole"))
    assert_same_model(tmp_path / "r", tmp_path / "whole")


@pytest.mark.slow
def test_a_cosine_is_not_gone_on_with_to_other_epochs_unless_it_is_stretched(images, tmp_path):
    path = small_run.write_images(tmp_path / "data", {"train": 2, "val": 1})
    train(tmp_path / "r", path, epochs=1, schedule=SCHEDULES.choose("cosine"))
    for epochs in (3, 2):
        with pytest.raises(UsageError) as error:
            train(tmp_path / "r", path, resume=True, epochs=epochs, schedule=SCHEDULES.choose("cosine"))
        assert str(error.value) == (
            "epochs: expected the 1 that this run was begun with, since every learning rate of the schedule cosine "
            f"depends on their number, found {epochs}; with --schedule.stretch true it goes on at the rates that a run "
            "of the new length has there"
        )
    stretched = SCHEDULES.choose("cosine", stretch=True)
    train(tmp_path / "r", path, resume=True, epochs=2, schedule=stretched)
    # Of the last of 3 steps 0.01 (1 + cos(2 pi / 3)) / 2, and of the last of 6 steps 0.01 (1 + cos(5 pi / 6)) / 2.
    expected = [pytest.approx(rate, rel=1e-12) for rate in (0.0025, 0.0006698729810778065)]
    assert [record["learning_rate"] for record in metrics(tmp_path / "r")] == expected


def test_the_rates_of_the_parts_are_said_where_they_differ_and_a_part_that_is_not_there_is_refused(images, tmp_path):
    lines: list[str] = []
    optimizer = OPTIMIZERS.choose("adam", multipliers={"head": 10, "stage3": 2})
    with pytest.raises(UsageError) as error:
        train(tmp_path / "r", images, env=run_env(lines=lines), optimizer=optimizer)
    assert str(error.value) == (
        "optimizer.multipliers: expected parts of this network (stem, stage2, attention, head), found 'stage3'"
    )
    assert not (tmp_path / "r").exists()
    optimizer = OPTIMIZERS.choose("adam", multipliers={"head": 10}, layer_decay=0.5)
    # It ends before anything is compiled.
    config = small_run.config(images, optimizer=optimizer, **small_run.data(images, verify=True))
    fit(config, tmp_path / "r", False, run_env(stop_after(0), lines))
    said = (
        "learning rates of the parts, as multiples of the schedule's: stem 0.125, stage2 0.25, attention 0.5, head 10"
    )
    assert said in lines


@pytest.mark.slow
def test_starting_from_a_run_with_the_same_classes_takes_every_part(run, images, tmp_path):
    lines = []
    model = small_run.config(images).model
    train(
        tmp_path / "r",
        images,
        env=run_env(lines=lines),
        epochs=1,
        model=dataclasses.replace(model, weights=str(run)),
        optimizer=OPTIMIZERS.choose("adam", learning_rate=1e-6),
    )
    assert [f"{part}: from {run}" in lines for part in ("backbone", "attention", "head")] == [True] * 3
    # Nothing is learnt at this rate: a fresh net would guess.
    assert metrics(tmp_path / "r")[0]["val_accuracy"] > 0.5


@pytest.mark.slow
def test_asked_to_stop_while_verifying_it_compiles_nothing(images, tmp_path):
    lines: list[str] = []
    fit_with(tmp_path / "r", images, lines, verify=True, stop=lambda: True)
    assert not any(line.startswith("compiled") for line in lines)
    assert lines[-1].startswith("stopped and saved")


@pytest.mark.slow
def test_a_scan_finds_all_corrupt_images_before_anything_is_trained(tmp_path):
    path, lines = spoiled(tmp_path / "data", "train/3/1.jpg", "val/7/0.jpg"), []
    with pytest.raises(JaxnextError, match=r"^2 of 36 images cannot be read and are listed above"):
        fit_with(tmp_path / "r", path, lines, verify=True)
    assert lines[-2:] == [
        f"{path / 'train/3/1.jpg'}: the image cannot be read (not an image that Pillow can read)",
        f"{path / 'val/7/0.jpg'}: the image cannot be read (not an image that Pillow can read)",
    ]
    assert not (tmp_path / "r").exists()
    lines.clear()
    fit_with(tmp_path / "r", path, lines, verify=True, on_corrupt="skip", epochs=1)
    assert "verified 36 images: 2 cannot be read" in lines
    assert len((tmp_path / "r" / "corrupt.csv").read_text().splitlines()) == 3


SINCE, BEGUN = "since of the", "epochs that this run has begun the first"
MIXED = MixConfig(mixup=0.2, off_epochs=2)


@pytest.mark.parametrize(
    ("epochs", "off", "begun", "sentence"),
    [
        (10, 2, 10, None),
        (15, 2, 8, None),
        (15, 7, 9, None),
        (15, 2, 9, f"expected 7, {SINCE} 9 {BEGUN} 8 are mixed, found 2 of 15 epochs"),
        (6, 2, 5, f"expected at most 1, {SINCE} 5 {BEGUN} 5 are mixed, found 2 of 6 epochs"),
    ],
)
def test_epochs_that_are_done_stay_mixed_or_not(epochs, off, begun, sentence):
    before = Config(epochs=10, mix=MIXED)
    now = Config(epochs=epochs, mix=dataclasses.replace(MIXED, off_epochs=off))
    if sentence is None:
        check_mixed(before, now, begun)
        return
    with pytest.raises(UsageError, match=f"^{re.escape('mix.off_epochs: ' + sentence)}$"):
        check_mixed(before, now, begun)
