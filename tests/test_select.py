"""Which dict of a file is the net's; ``test_ways_of_saving.py`` has many more."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.candidates import candidates
from jaxnext.porting.files.state_dict import WeightFile
from jaxnext.porting.files.torch_file import no_storages
from jaxnext.porting.select import select

NET = {"conv1.weight": (2, 3), "layer1.0.conv1.weight": (2, 2), "layer1.0.bn1.weight": (2,)}
STATE = {name: np.zeros(shape) for name, shape in NET.items()}
OTHER = {**STATE, "conv1.weight": np.zeros((4, 3))}


def file(value: Any) -> WeightFile:
    return WeightFile(Path("net.pth"), candidates(value), (), no_storages, 0, 0)


def lines(value: Any, key: str | None = None) -> tuple[str, ...]:
    selected = select(file(value), NET, key)
    assert selected.tensors.keys() >= NET.keys()
    return tuple(line.removeprefix("net.pth: ") for line in selected.lines)


def test_one_that_fits_is_preferred_to_one_of_other_shapes() -> None:
    assert lines({"a": OTHER, "b": STATE}) == ("weights taken from 'b'", "left aside: 'a' (3 tensors)")
    # Where none fits, what has the names is taken: merge says what differs.
    assert lines({"a": OTHER}) == ("weights taken from 'a'",)


def test_known_keys_as_ever_and_a_key_where_several_fit() -> None:
    said = ("weights taken from 'state_dict'; 'model_ema' holds others and was not read",)
    assert lines({"model_ema": dict(STATE), "state_dict": STATE}) == said
    assert lines({"model_ema": dict(STATE), "state_dict": STATE}, "model_ema") == (
        "left aside: 'state_dict' (3 tensors)",
    )
    for value, keys in (
        ({"a": STATE, "model": dict(STATE)}, ("a", "model")),
        ({**STATE, "model": dict(STATE)}, (".", "model")),
    ):
        with pytest.raises(JaxnextError) as caught:
            select(file(value), NET)
        assert str(caught.value) == (
            "net.pth: 2 state dicts in it fit the net; choose one of them:\n"
            f"  --key {keys[0]}: 3 tensors\n  --key {keys[1]}: 3 tensors"
        )
        assert select(file(value), NET, keys[0]).tensors.keys() == NET.keys()
    with pytest.raises(JaxnextError, match=r"^net\.pth: --key: expected one of a, found 'b'$"):
        select(file({"a": STATE}), NET, "b")


def test_what_lies_beside() -> None:
    value = {f"net.{name}": value for name, value in STATE.items()} | {"head.weight": np.zeros((3, 2))}
    selected = select(file({"state_dict": value, "acc": np.zeros(()), "optimizer": {"x": np.zeros(1)}}), NET)
    assert list(selected.beside) == ["head.weight"]
    assert selected.lines == (
        "net.pth: weights taken from 'state_dict'; 'acc' beside it was not read",
        "net.pth: 'net.' is taken off the names",
    )


def test_without_a_net_it_is_the_dict_that_load_state_dict_chooses() -> None:
    selected = select(file({"model": {"module.x": np.zeros(1), "module.y": np.zeros(1)}}), NET)
    assert list(selected.tensors) == ["x", "y"]
    with pytest.raises(JaxnextError, match=r"^net\.pth: it holds no tensors, neither bare nor under state_dict, "):
        select(file({"epoch": 3}), NET)
