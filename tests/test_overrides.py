from typing import Any

import pytest

from jaxnext.config.mapping import build, flat
from jaxnext.config.overrides import override
from jaxnext.config.sections import Config, DataConfig
from jaxnext.errors import UsageError

BASE = build({"epochs": 7, "model": {"head": {"type": "fc", "dropout": 0.1}, "stage_sizes": [1, 1, 1, 1]}})


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ({}, {}),
        ({"epochs": 3}, {"epochs": 3}),
        ({"model": {"head": {"dropout": 0.2}}}, {"model.head.dropout": 0.2}),
        ({"model.head.dropout": 0.2, "model": {"groups": 1}}, {"model.head.dropout": 0.2, "model.groups": 1}),
        ({"model": {"stage_sizes": (2, 2, 2, 2)}}, {"model.stage_sizes": (2, 2, 2, 2)}),
        ({"model.head": "fc", "optimizer.learning_rate": 1}, {"optimizer.learning_rate": 1.0}),
        ({"augment.original.rotation": 3}, {"augment.original.rotation": 3.0}),
    ],
)
def test_settings_over_those_of_a_config(settings: dict[str, Any], changed: dict[str, Any]) -> None:
    assert flat(override(BASE, settings)) == flat(BASE) | changed


def test_another_choice_has_its_own_options() -> None:
    assert override(BASE, {"model.head": "linear"}) == build({"epochs": 7, "model": {"stage_sizes": [1, 1, 1, 1]}})


def test_a_setting_that_is_a_mapping_is_replaced() -> None:
    base = override(BASE, {"optimizer.multipliers": {"head": 10, "stem": 1}})
    for settings in ({"optimizer.multipliers": {"stem": 2}}, {"optimizer": {"multipliers": {"stem": 2}}}):
        assert override(base, settings).optimizer["multipliers"] == {"stem": 2.0}
        assert override(base, settings).optimizer.type == "adam"


def test_a_path_of_data() -> None:
    assert override(Config(), {"data.path": "images"}) == Config(data=DataConfig(path="images"))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epoch": 3}, "unknown key epoch; did you mean epochs?"),
        ({"model.groop": 1}, "unknown key model.groop; did you mean model.groups?"),
        ({"epochs": "3"}, "epochs: expected a whole number, found '3'"),
        ({"model": 3}, "model: expected the settings of this section, found 3"),
    ],
)
def test_mistakes(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        override(Config(), settings)
    assert str(error.value) == sentence
