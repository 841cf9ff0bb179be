from typing import Any

import pytest

from jaxnext.config.overrides import override
from jaxnext.config.sections import Config, DataConfig, ModelConfig
from jaxnext.errors import UsageError

BASE = Config(epochs=7, model=ModelConfig(dropout=0.1, stage_sizes=(1, 1, 1, 1)))


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ({}, {}),
        ({"epochs": 3}, {"epochs": 3}),
        ({"model": {"dropout": 0.2}}, {"dropout": 0.2}),
        ({"model.dropout": 0.2, "model": {"head": "fc"}}, {"dropout": 0.2, "head": "fc"}),
        ({"model": {"stage_sizes": (2, 2, 2, 2)}}, {"stage_sizes": (2, 2, 2, 2)}),
    ],
)
def test_settings_over_those_of_a_config(settings: dict[str, Any], changed: dict[str, Any]) -> None:
    model = {"dropout": 0.1, "stage_sizes": (1, 1, 1, 1)}
    model |= {key: value for key, value in changed.items() if key != "epochs"}
    assert override(BASE, settings) == Config(epochs=changed.get("epochs", 7), model=ModelConfig(**model))


def test_a_path_of_data() -> None:
    assert override(Config(), {"data.path": "images"}) == Config(data=DataConfig(path="images"))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epoch": 3}, "unknown key epoch; did you mean epochs?"),
        ({"model.dropot": 0.1}, "unknown key model.dropot; did you mean model.dropout?"),
        ({"epochs": "3"}, "epochs: expected a whole number, found '3'"),
        ({"model": 3}, "model: expected the settings of this section, found 3"),
    ],
)
def test_mistakes(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        override(Config(), settings)
    assert str(error.value) == sentence
