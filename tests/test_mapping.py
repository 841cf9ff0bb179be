import re
from typing import Any

import pytest

from jaxnext.config.mapping import build, flat, plain, settings
from jaxnext.config.sections import ATTENTIONS, AUGMENTATIONS, HEADS, OPTIMIZERS, Config, ModelConfig


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"epochs": 3}, Config(epochs=3)),
        ({"model": {"head": "fc"}}, Config(model=ModelConfig(head=HEADS.choose("fc")))),
        (
            {"model": {"head": {"type": "fc", "widths": [8], "dropout": 0}}},
            Config(model=ModelConfig(head=HEADS.choose("fc", widths=(8,), dropout=0.0))),
        ),
        ({"model": {"attention": "cbam"}}, Config(model=ModelConfig(attention=ATTENTIONS.choose("cbam")))),
        # Without a type, the options are those of the default.
        ({"optimizer": {"learning_rate": 1}}, Config(optimizer=OPTIMIZERS.choose("adam", learning_rate=1.0))),
        ({"augment": "original"}, Config()),
        ({"augment": ["original"]}, Config()),
        ({"augment": []}, Config(augment=())),
        (
            {"augment": [{"type": "original", "rotation": 3}, "grayscale"]},
            Config(augment=(AUGMENTATIONS.choose("original", rotation=3.0), AUGMENTATIONS.choose("grayscale"))),
        ),
    ],
)
def test_build(values: dict[str, Any], expected: Config) -> None:
    assert build(values) == expected
    assert build(plain(expected)) == expected


NAMES = ", ".join(AUGMENTATIONS.names())
KNOWN = ", ".join(OPTIMIZERS.names())


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"model": {"head": {"type": "fc", "dropot": 0.1}}},
            "unknown key model.head.dropot: fc has widths, dropout, activation, batch_norm",
        ),
        ({"model": {"head": {"dropout": 0.1}}}, "unknown key model.head.dropout: linear has no options"),
        ({"augment": [{"rotation": 3}]}, f"augment.type: expected one of {NAMES}, found null"),
        ({"augment": ["original", "original"]}, "augment: expected each augmentation once, found ['original', 'orig"),
        ({"augment": [{"type": "original", "x": 3}]}, "unknown key augment.original.x: original has rotation"),
        ({"optimizer": 3}, f"optimizer: expected one of {KNOWN}, or a mapping with type and options, found 3"),
        ({"optimizer": {"type": 3}}, f"optimizer.type: expected one of {KNOWN}, found 3"),
        (
            {"optimizer": {1: 3}},
            f"optimizer: expected one of {KNOWN}, or a mapping with type and options, found {{1: 3}}",
        ),
        ({"model.groups": 1}, "model.groups is written as one key, expected model: {groups: ... }"),
        ({"learning_rate": 1}, "unknown key learning_rate; did you mean optimizer.learning_rate?"),
        ({"data": 3}, "data: expected the settings of this section, found 3"),
    ],
)
def test_build_refuses(values: dict[Any, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        build(values)


def test_settings_are_every_key_with_the_options_of_what_is_chosen() -> None:
    config = build({"model": {"attention": "cbam", "head": "fc"}})
    keys = [setting.key for setting in settings(config)]
    assert keys[:6] == ["seed", "epochs", "batch_size", "precision", "workers", "report_every"]
    assert {"model.attention", "model.attention.reduction", "model.head.widths", "augment.original.rotation"} <= {*keys}
    assert "model.head.widths" not in [setting.key for setting in settings(Config())]
    assert len(set(keys)) == len(keys)


def test_flat() -> None:
    found = flat(build({"model": {"head": {"type": "fc", "dropout": 0.5}}, "augment": []}))
    assert found["model.head"] == "fc"
    assert found["model.head.dropout"] == 0.5
    assert found["augment"] == ()
    assert found["schedule.patience"] == 3
