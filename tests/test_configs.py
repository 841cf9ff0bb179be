"""Every file of configs/ parses, and differs from the defaults in exactly what is written here."""

from pathlib import Path
from typing import Any

import pytest

from jaxnext.config.mapping import flat
from jaxnext.config.sections import Config
from jaxnext.config.yaml_text import load_config

CONFIGS = Path(__file__).resolve().parent.parent / "configs"

DIFFERENCES: dict[str, dict[str, Any]] = {
    "baseline": {"data.path": "data", "model.weights": "weights/imagenet1k_v2"},
    "fc": {
        "data.path": "data",
        "model.weights": "weights/imagenet1k_v2",
        "model.head": "fc",
        "model.head.widths": (1024, 512),
        "model.head.activation": "silu",
        "model.head.batch_norm": True,
    },
    "cbam": {"data.path": "data", "model.weights": "weights/imagenet1k_v2", "model.attention": "cbam"},
    "fc_cbam": {
        "data.path": "data",
        "model.weights": "weights/imagenet1k_v2",
        "model.attention": "cbam",
        "model.head": "fc",
        "model.head.widths": (1024, 512),
        "model.head.activation": "silu",
        "model.head.batch_norm": True,
    },
    "resnet50": {
        "data.path": "data",
        "model.weights": "weights/resnet50",
        "model.groups": 1,
        "model.widths": (64, 128, 256, 512),
    },
    "resnext101_32x8d": {
        "data.path": "data",
        "model.weights": "weights/resnext101_32x8d",
        "model.stage_sizes": (3, 4, 23, 3),
        "model.widths": (256, 512, 1024, 2048),
    },
    "resnet18": {
        "data.path": "data",
        "model.weights": "weights/resnet18",
        "model.block": "basic",
        "model.stage_sizes": (2, 2, 2, 2),
        "model.widths": (64, 128, 256, 512),
        "model.features": (64, 128, 256, 512),
        "model.groups": 1,
    },
    "resnet34": {
        "data.path": "data",
        "model.weights": "weights/resnet34",
        "model.block": "basic",
        "model.widths": (64, 128, 256, 512),
        "model.features": (64, 128, 256, 512),
        "model.groups": 1,
    },
    "resnet101": {
        "data.path": "data",
        "model.weights": "weights/resnet101",
        "model.stage_sizes": (3, 4, 23, 3),
        "model.groups": 1,
        "model.widths": (64, 128, 256, 512),
    },
    "resnet152": {
        "data.path": "data",
        "model.weights": "weights/resnet152",
        "model.stage_sizes": (3, 8, 36, 3),
        "model.groups": 1,
        "model.widths": (64, 128, 256, 512),
    },
    "wide_resnet50_2": {"data.path": "data", "model.weights": "weights/wide_resnet50_2", "model.groups": 1},
    "wide_resnet101_2": {
        "data.path": "data",
        "model.weights": "weights/wide_resnet101_2",
        "model.stage_sizes": (3, 4, 23, 3),
        "model.groups": 1,
        "model.max_parameters": 130_000_000,
    },
    "resnext101_64x4d": {
        "data.path": "data",
        "model.weights": "weights/resnext101_64x4d",
        "model.stage_sizes": (3, 4, 23, 3),
        "model.widths": (256, 512, 1024, 2048),
        "model.groups": 64,
    },
    "seresnext50_32x4d": {
        "data.path": "data",
        "model.weights": "weights/seresnext50_32x4d",
        "model.block_attention": "se",
    },
    "quickstart": {
        "epochs": 20,
        "batch_size": 32,
        "data.source": "digits",
        "data.image_size": 32,
        "augment.original.horizontal_flip": 0.0,
        "augment.original.vertical_flip": 0.0,
        "model.stage_sizes": (1, 1, 1, 1),
        "model.widths": (32, 64, 128, 256),
        "model.features": (64, 128, 256, 512),
        "model.groups": 8,
        "model.attention": "cbam",
        "model.head": "fc",
        "model.head.widths": (128, 64),
        "model.head.activation": "silu",
        "model.head.batch_norm": True,
        "optimizer.learning_rate": 1e-3,
        "optimizer.weight_decay": 1e-4,
    },
    "modern": {
        "epochs": 30,
        "batch_size": 32,
        "data.path": "data",
        "data.image_size": 224,
        "model.weights": "weights/imagenet1k_v2",
        "augment": ("random_resized_crop", "horizontal_flip", "trivial_augment_wide", "random_erasing"),
        "augment.random_resized_crop.scale": (0.35, 1.0),
        "augment.random_erasing.probability": 0.1,
        "augment.random_erasing.value": (124, 116, 104),
        "mix.mixup": 0.2,
        "mix.cutmix": 1.0,
        "mix.probability": 0.5,
        "mix.off_epochs": 3,
        "loss.label_smoothing": 0.1,
        "optimizer": "adamw",
        "optimizer.learning_rate": 3e-4,
        "optimizer.weight_decay": 0.05,
        "optimizer.decay_norms": False,
        "optimizer.clip_norm": 1.0,
        "optimizer.layer_decay": 0.8,
        "schedule": "cosine",
        "schedule.warmup_epochs": 1.0,
        "training.ema.decay": 0.999,
    },
    "modern_small": {
        "epochs": 20,
        "batch_size": 64,
        "data.path": "data",
        "data.image_size": 64,
        "model.stage_sizes": (1, 1, 1, 1),
        "model.widths": (32, 64, 128, 256),
        "model.features": (64, 128, 256, 512),
        "model.groups": 8,
        "augment": ("random_resized_crop", "horizontal_flip"),
        "augment.random_resized_crop.scale": (0.35, 1.0),
        "loss.label_smoothing": 0.1,
        "optimizer": "adamw",
        "optimizer.learning_rate": 3e-3,
        "optimizer.weight_decay": 0.05,
        "optimizer.decay_norms": False,
        "schedule": "one_cycle",
    },
}


DEFAULT_OPTIONS = {
    *("model.attention.reduction", "model.attention.kernel_size", "model.head.dropout"),
    *("model.block_attention.reduction", "model.block_attention.divisor"),
    *("augment.random_resized_crop.ratio", "augment.random_erasing.scale", "augment.random_erasing.ratio"),
    *("augment.horizontal_flip.probability", "augment.trivial_augment_wide.num_magnitude_bins"),
    *("augment.trivial_augment_wide.interpolation", "augment.trivial_augment_wide.fill"),
    *("schedule.rise", "schedule.curve", "schedule.div_factor", "schedule.final_div_factor"),
    *("schedule.warmup_factor", "schedule.stretch"),
}
"""Of what the defaults do not choose; those that differ are listed."""


def test_every_config_is_listed_here() -> None:
    assert sorted(file.name for file in CONFIGS.iterdir()) == sorted(f"{name}.yaml" for name in DIFFERENCES)


@pytest.mark.parametrize("name", DIFFERENCES)
def test_differences_from_the_defaults(name: str) -> None:
    defaults = flat(Config())
    values = flat(load_config(CONFIGS / f"{name}.yaml"))
    assert {
        key: value for key, value in values.items() if key not in DEFAULT_OPTIONS and value != defaults.get(key)
    } == DIFFERENCES[name]


@pytest.mark.parametrize("name", DIFFERENCES)
def test_the_header_gives_command_cost_and_result(name: str) -> None:
    lines = (CONFIGS / f"{name}.yaml").read_text().splitlines()
    header = "\n".join(line for line in lines if line.startswith("#"))
    assert f"python scripts/train.py --config {name}" in header
    assert "# Cost: " in header
    assert "# Expected result: " in header
