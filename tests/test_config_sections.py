import dataclasses
import math
import re
from typing import Any

import pytest

from jaxnext.config.mapping import build, plain
from jaxnext.config.sections import Config, DataConfig, MixConfig, ModelConfig, alternatives_of, choices


def test_defaults_are_those_of_the_original() -> None:
    assert plain(Config()) == {
        "seed": 0,
        "epochs": 50,
        "batch_size": 16,
        "precision": "float32",
        "workers": None,
        "report_every": 0,
        "logger": [],
        "data": {
            "source": {"type": "folder"},
            "path": None,
            "labels": None,
            "image_column": None,
            "label_column": None,
            "group_column": None,
            "image_size": 512,
            "resize": "stretch",
            "crop_share": 0.875,
            "orientation": "exif",
            "depth": "scale",
            "background": "white",
            "val_fraction": 0.2,
            "folds": None,
            "fold": None,
            "classes": None,
            "share": 1.0,
            "balance": "none",
            "cache": "none",
            "cache_path": None,
            "verify": False,
            "on_corrupt": "stop",
        },
        "augment": [
            {
                "type": "original",
                "rotation": 45.0,
                "brightness": 0.2,
                "contrast": 0.2,
                "saturation": 0.2,
                "horizontal_flip": 0.2,
                "vertical_flip": 0.2,
            }
        ],
        "mix": {"mixup": 0.0, "cutmix": 0.0, "probability": 1.0, "switch": 0.5, "off_epochs": 0},
        "model": {
            "block": "bottleneck",
            "stage_sizes": [3, 4, 6, 3],
            "widths": [128, 256, 512, 1024],
            "features": [256, 512, 1024, 2048],
            "stem_features": 64,
            "groups": 32,
            "block_attention": {"type": "none"},
            "attention": {"type": "none"},
            "head": {"type": "linear"},
            "classes": None,
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
            "remat": False,
            "freeze": [],
            "unfreeze": {},
            "weights": None,
            "max_parameters": 100_000_000,
        },
        "loss": {"type": "cross_entropy", "label_smoothing": 0.0, "class_weights": "none"},
        "optimizer": {
            "type": "adam",
            "learning_rate": 1e-4,
            "weight_decay": 0.0,
            "beta1": 0.9,
            "beta2": 0.999,
            "eps": 1e-8,
            "decay_norms": True,
            "clip_norm": None,
            "multipliers": None,
            "layer_decay": 1.0,
        },
        "schedule": {
            "type": "plateau",
            "factor": 0.1,
            "patience": 3,
            "threshold": 1e-4,
            "cooldown": 0,
            "min_learning_rate": 0.0,
        },
        "training": {
            "accumulate": 1,
            "recalibrate": False,
            "hours": None,
            "on_nonfinite": "stop",
            "max_nonfinite": 10,
            "ema": {
                "decay": None,
                "warmup": True,
                "warmup_gamma": 1.0,
                "warmup_power": 2 / 3,
                "min_decay": 0.0,
                "update_after": 0,
            },
            "early_stopping": {"patience": None, "by": "loss", "min_delta": 0.0},
        },
        "checkpoint": {"every_epochs": 0, "every_minutes": 10.0, "every_steps": None},
    }


SHARE = "a share between 0 and 1"
UNIT = "a number from 0 to 1"
DECAY = "a number from 0 to below 1"
STAGES = "4 whole numbers of at least 1, one for each stage"

REFUSED: list[tuple[type, dict[str, Any], str]] = [
    (DataConfig, {"image_size": 0}, "data.image_size: expected at least 1 pixel, found 0"),
    (DataConfig, {"image_size": (3, 0)}, "data.image_size: expected at least 1 pixel, found [3, 0]"),
    (DataConfig, {"image_size": (3,)}, "data.image_size: expected a whole number or [height, width], found [3]"),
    (DataConfig, {"crop_share": 0.0}, "data.crop_share: expected a share above 0 and at most 1, found 0.0"),
    (DataConfig, {"crop_share": 1.5}, "data.crop_share: expected a share above 0 and at most 1, found 1.5"),
    (DataConfig, {"val_fraction": 0.0}, f"data.val_fraction: expected {SHARE}, found 0.0"),
    (DataConfig, {"val_fraction": 1.0}, f"data.val_fraction: expected {SHARE}, found 1.0"),
    (DataConfig, {"val_fraction": math.nan}, f"data.val_fraction: expected {SHARE}, found nan"),
    (ModelConfig, {"stage_sizes": (3, 4, 0, 3)}, f"model.stage_sizes: expected {STAGES}, found [3, 4, 0, 3]"),
    (ModelConfig, {"widths": (128, 256, 512)}, f"model.widths: expected {STAGES}, found [128, 256, 512]"),
    (ModelConfig, {"features": (1, 2, 3, -4)}, f"model.features: expected {STAGES}, found [1, 2, 3, -4]"),
    (ModelConfig, {"groups": 0}, "model.groups: expected at least 1, found 0"),
    (ModelConfig, {"groups": 48}, "model.widths: expected multiples of model.groups (48), found 128"),
    (
        ModelConfig,
        {"block": "basic"},
        "model.groups: expected 1 with model.block basic, whose convolutions have no groups, found 32",
    ),
    (ModelConfig, {"stem_features": 0}, "model.stem_features: expected at least 1, found 0"),
    (ModelConfig, {"classes": 0}, "model.classes: expected null or at least 1, found 0"),
    (ModelConfig, {"mean": (0.5,)}, "model.mean: expected three numbers, found [0.5]"),
    (ModelConfig, {"std": (0.5, 0.5, 0.0)}, "model.std: expected numbers above 0, found [0.5, 0.5, 0.0]"),
    (ModelConfig, {"max_parameters": 0}, "model.max_parameters: expected at least 1, found 0"),
    (build, {"optimizer": {"learning_rate": 0.0}}, "optimizer.learning_rate: expected a number above 0, found 0.0"),
    (
        build,
        {"optimizer": {"weight_decay": -1.0}},
        "optimizer.weight_decay: expected a number of at least 0, found -1.0",
    ),
    (build, {"optimizer": {"beta1": 1.0}}, f"optimizer.beta1: expected {DECAY}, found 1.0"),
    (build, {"optimizer": {"beta2": -0.1}}, f"optimizer.beta2: expected {DECAY}, found -0.1"),
    (build, {"optimizer": {"eps": 0.0}}, "optimizer.eps: expected a number above 0, found 0.0"),
    (build, {"schedule": {"factor": 1.0}}, "schedule.factor: expected a number between 0 and 1, found 1.0"),
    (build, {"schedule": {"factor": 0.0}}, "schedule.factor: expected a number between 0 and 1, found 0.0"),
    (build, {"schedule": {"patience": -1}}, "schedule.patience: expected at least 0, found -1"),
    (build, {"schedule": {"threshold": 1.0}}, "schedule.threshold: expected from 0 to below 1, found 1.0"),
    (build, {"schedule": {"cooldown": -1}}, "schedule.cooldown: expected at least 0, found -1"),
    (
        build,
        {"schedule": {"min_learning_rate": -1e-9}},
        "schedule.min_learning_rate: expected a number of at least 0, found -1e-09",
    ),
    (Config, {"seed": -1}, "seed: expected a whole number from 0 to 4294967295, found -1"),
    (Config, {"seed": 2**32}, "seed: expected a whole number from 0 to 4294967295, found 4294967296"),
    (Config, {"epochs": 0}, "epochs: expected at least 1, found 0"),
    (Config, {"batch_size": 0}, "batch_size: expected at least 1, found 0"),
    (Config, {"workers": -1}, "workers: expected null or at least 0, found -1"),
    (
        Config,
        {"workers": 2, "data": DataConfig(cache="memory")},
        "workers: expected null or 0 with data.cache memory, which worker processes cannot share, found 2",
    ),
    (MixConfig, {"mixup": -0.1}, "mix.mixup: expected a number of at least 0, found -0.1"),
    (MixConfig, {"cutmix": math.inf}, "mix.cutmix: expected a number of at least 0, found inf"),
    (MixConfig, {"probability": 0.0}, "mix.probability: expected a share above 0 and at most 1, found 0.0"),
    (MixConfig, {"switch": 1.5}, f"mix.switch: expected {UNIT}, found 1.5"),
    (MixConfig, {"off_epochs": -1}, "mix.off_epochs: expected at least 0, found -1"),
    (
        build,
        {"epochs": 3, "mix": {"mixup": 0.2, "off_epochs": 3}},
        "mix.off_epochs: expected fewer than the epochs, 3, found 3",
    ),
    (
        build,
        {"data": {"balance": "weights"}, "loss": {"class_weights": "balanced"}},
        "loss.class_weights: expected none or numbers with data.balance weights, which already makes up for rare "
        "classes, found 'balanced'",
    ),
]


@pytest.mark.parametrize(("section", "values", "message"), REFUSED, ids=[message for *_, message in REFUSED])
def test_refused(section: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        section(values) if section is build else section(**values)


def test_no_stage_is_refused() -> None:
    expected = "model.stage_sizes: expected 1 whole numbers of at least 1, one for each stage, found []"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        ModelConfig(stage_sizes=(), widths=(), features=())


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (DataConfig, {"image_size": 1, "val_fraction": 1e-9}),
        # ResNeXt-101 (32x8d)
        (ModelConfig, {"stage_sizes": (3, 4, 23, 3), "widths": (256, 512, 1024, 2048)}),
        (ModelConfig, {"block": "basic", "groups": 1}),
        (Config, {"seed": 2**32 - 1, "epochs": 1, "batch_size": 1, "workers": 0}),
        (Config, {"data": DataConfig(cache="memory"), "workers": 0}),
    ],
)
def test_limits_are_allowed(section: Any, values: dict[str, Any]) -> None:
    assert {name: getattr(section(**values), name) for name in values} == values


@pytest.mark.parametrize("section", [Config, DataConfig, ModelConfig])
def test_frozen(section: Any) -> None:
    name = dataclasses.fields(section)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(section(), name, 1)


def test_ranges_of_heavy_choices_are_checked_when_they_are_built() -> None:
    config = build({"augment": [{"type": "original", "rotation": 181}]})
    with pytest.raises(ValueError, match=r"augment\.original\.rotation: expected 0 to 180 degrees, found 181\.0"):
        config.augment[0].check()


def test_choices_and_their_folders() -> None:
    assert [choice.alternatives.key for choice in choices(Config())] == [
        "data.source",
        "model.block_attention",
        "model.attention",
        "model.head",
        "augment",
        "loss",
        "optimizer",
        "schedule",
    ]
    assert [alternatives_of(choice.alternatives.key) for choice in choices(Config())] == [
        choice.alternatives for choice in choices(Config())
    ]
    assert alternatives_of("model.groups") is None
