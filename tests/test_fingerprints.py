from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flat_config import model_config

from jaxnext.config.sections import Config, DataConfig
from jaxnext.training.fingerprints import digest, fingerprints

BASE: dict[str, Any] = {
    "config": Config(),
    "output": Path("runs/r"),
    "versions": {"jax": "0.10.2", "commit": "abc"},
    "checkpoint": 39,
    "data": {"training images": 96},
    "classes": ("a", "b"),
    "state": {"params": np.arange(3.0)},
}


def found(**changes: Any) -> dict[str, str]:
    return {fact.name: fact.value for fact in fingerprints(**BASE | changes)}


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, []),
        ({"config": Config(workers=3)}, []),
        ({"versions": {"jax": "0.10.2", "commit": None}}, []),
        ({"versions": {"jax": "0.11.0"}}, ["the version of jax"]),
        ({"config": Config(epochs=3)}, ["epochs"]),
        # Each looks at its share, so that all must.
        ({"config": Config(data=DataConfig(verify=True))}, ["data.verify"]),
        ({"config": Config(data=DataConfig(cache="disk", cache_path="/c"))}, []),
        ({"config": Config(model=model_config(remat=True))}, ["model.remat"]),
        ({"checkpoint": None}, ["the newest checkpoint"]),
        ({"data": {"training images": 95}}, ["the data, training images"]),
        ({"classes": ("a", "c")}, ["the class names"]),
        ({"state": {"params": np.array([0.0, 1.0, np.nextafter(2.0, 3)])}}, ["the weights"]),
    ],
)
def test_what_differs_is_named(changes: dict[str, Any], names: list[str]) -> None:
    before, after = found(), found(**changes)
    assert [name for name in before if before[name] != after.get(name)] == names


def test_values_are_readable() -> None:
    values = found()
    assert values["the newest checkpoint"] == "number 39"
    assert found(checkpoint=None)["the newest checkpoint"] == "none"
    assert (values["epochs"], values["data.source"], values["seed"]) == ("50", "'folder'", "0")


def test_digest_tells_values_dtypes_shapes_and_names_apart() -> None:
    trees = [
        {"a": np.zeros(4, np.float32)},
        {"b": np.zeros(4, np.float32)},
        {"a": np.zeros((2, 2), np.float32)},
        {"a": np.zeros(4, np.int32)},
        {"a": np.array([0, 0, 0, -0.0], np.float32)},
        {"a": np.zeros(2, np.float32), "b": np.zeros(2, np.float32)},
        ["a", "bc"],
        ["ab", "c"],
    ]
    assert len({digest(tree) for tree in trees}) == len(trees)
    assert digest({"a": jnp.zeros(4)}) == digest(trees[0])
