import dataclasses
from typing import Any

import pytest

from jaxnext.config.mapping import build, flat
from jaxnext.config.sections import Config, in_force
from jaxnext.config.training import CheckpointConfig, EarlyStoppingConfig, EmaConfig, TrainingConfig
from jaxnext.config.yaml_text import dump_config, load_yaml

REFUSED: list[tuple[type, dict[str, Any], str]] = [
    (EmaConfig, {"decay": 1.0}, "training.ema.decay: expected null or a number between 0 and 1, found 1.0"),
    (EmaConfig, {"min_decay": 1.0}, "training.ema.min_decay: expected a number from 0 to below 1, found 1.0"),
    (EmaConfig, {"warmup_gamma": 0.0}, "training.ema.warmup_gamma: expected a number above 0, found 0.0"),
    (EmaConfig, {"warmup_power": 0.0}, "training.ema.warmup_power: expected a number above 0, found 0.0"),
    (EmaConfig, {"update_after": -1}, "training.ema.update_after: expected at least 0, found -1"),
    (
        EarlyStoppingConfig,
        {"patience": -1},
        "training.early_stopping.patience: expected null or at least 0, found -1",
    ),
    (EarlyStoppingConfig, {"min_delta": -0.5}, "training.early_stopping.min_delta: expected at least 0, found -0.5"),
    (TrainingConfig, {"accumulate": 0}, "training.accumulate: expected at least 1, found 0"),
    (TrainingConfig, {"hours": 0.0}, "training.hours: expected null or a number above 0, found 0.0"),
    (CheckpointConfig, {"every_epochs": -1}, "checkpoint.every_epochs: expected at least 0, found -1"),
    (
        CheckpointConfig,
        {"every_minutes": -0.5},
        "checkpoint.every_minutes: expected null or a number of at least 0, found -0.5",
    ),
    (CheckpointConfig, {"every_steps": 0}, "checkpoint.every_steps: expected null or at least 1, found 0"),
]


@pytest.mark.parametrize(("section", "values", "sentence"), REFUSED, ids=lambda value: str(value)[:40])
def test_a_value_out_of_range_is_refused(section: type, values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match="expected") as error:
        section(**values)
    assert str(error.value) == sentence


PHASES = {
    "data": {"image_size": {0: 128, 20: [224, 192]}},
    "model": {"freeze": ["stem", "stage4", "stage5"], "unfreeze": {6: ["stage4"], 3: ["stage5"]}},
}


def test_sizes_and_frozen_parts_follow_the_epochs_done() -> None:
    config = build(PHASES)
    assert (config.data.size, config.data.final_size) == ((224, 192), (224, 192))
    assert [config.data.train_size(epochs) for epochs in (0, 19, 20, 49)] == [(128, 128)] * 2 + [(224, 192)] * 2
    assert config.data.sizes == ((128, 128), (224, 192))
    assert [config.model.frozen(epochs) for epochs in (0, 2, 3, 6)] == [
        ("stem", "stage4", "stage5"),
        ("stem", "stage4", "stage5"),
        ("stem", "stage4"),
        ("stem",),
    ]
    assert build(load_yaml(dump_config(config))) == config
    assert (build({}).data.sizes, build({}).data.changes, build({}).model.frozen(0)) == (((512, 512),), (), ())


def test_a_value_is_in_force_from_its_epoch_on() -> None:
    assert [in_force({0: "a", 3: "b"}, epochs) for epochs in (0, 2, 3, 9)] == ["a", "a", "b", "b"]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"data": {"image_size": {1: 128}}},
            "data.image_size: expected sizes by the epochs done before each, from 0 on, found {1: 128}",
        ),
        ({"data": {"image_size": {0: 0}}}, "data.image_size: expected at least 1 pixel, found 0"),
        (
            {"epochs": 20, "data": {"image_size": {0: 128, 20: 224}}},
            "data.image_size: expected changes before the last of 20 epochs, found 20",
        ),
        ({"model": {"freeze": ["stem", "stem"]}}, "model.freeze: expected each part once, found ['stem', 'stem']"),
        (
            {"model": {"freeze": ["stem"], "unfreeze": {2: ["head"]}}},
            "model.unfreeze: expected parts of model.freeze (stem), each once, found ['head']",
        ),
        (
            {"model": {"freeze": ["stem"], "unfreeze": {0: ["stem"]}}},
            "model.unfreeze: expected at least 1 epoch before a part, found {0: ('stem',)}",
        ),
    ],
    ids=["no beginning", "no pixel", "too late", "twice", "not frozen", "at once"],
)
def test_phases_that_cannot_be_are_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match="expected") as error:
        build(values)
    assert str(error.value) == sentence


def test_a_config_written_before_these_settings_has_them_off() -> None:
    written = load_yaml(dump_config(Config()))
    del written["training"], written["model"]["freeze"], written["model"]["unfreeze"]
    assert build(written) == Config()
    assert flat(Config())["training.ema.decay"] is None
    assert dataclasses.asdict(Config().training)["accumulate"] == 1
