"""Every dict of tensors that a file holds."""

from typing import Any

import numpy as np
import pytest

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.candidates import MAX_CANDIDATES, candidates
from jaxnext.porting.files.modules import Budget
from jaxnext.porting.files.pickle_names import Placeholder, Storage, Tensor, Unread

A = Tensor(Storage("a", "float32", 1, None), "float32", 0, (1,), (1,))


def places(value: Any) -> list[str]:
    return ["/".join(each.keys) or "." for each in candidates(value)]


def test_under_whatever_keys() -> None:
    assert places({"x": A, "epoch": 3}) == ["."]
    assert places({"a": [3, ({"x": A},)], 1: {"y": {"x": Unread("q")}}}) == ["a/1/0", "1/y"]
    assert places({"x": np.zeros(1)}) == ["."]
    assert places({"a": {}, "b": [A], "c": {0: A}}) == []
    assert places(3) == []


def test_in_what_a_placeholder_holds() -> None:
    settings = Placeholder("Settings", ({"x": A},))
    settings.items = {"weights": {"x": A, "y": A}}
    settings.elements = [{"x": A}]
    settings.state = {"net": {"x": A}}
    assert places({"a": settings}) == ["a/weights", "a/0", "a/net", "a/0"]


def test_a_module_is_one_and_nothing_in_it_is_another() -> None:
    inner, net = Placeholder("Layer", ()), Placeholder("Net", ())
    inner.state = {"_parameters": {"x": A}, "_modules": {}}
    net.state = {"_parameters": {}, "_modules": {"0": inner}, "history": {"best": A}}
    (found,) = candidates({"model": net})
    assert (found.keys, found.is_module) == (("model",), True)
    assert found.tensors(Budget(100)) == {"0.x": A}


def test_what_is_no_tensor_is_left_out() -> None:
    (found,) = candidates({"x": A, "epoch": 3, 4: A})
    assert found.tensors(Budget(0)) == {"x": A}


def test_each_object_once_and_not_for_ever() -> None:
    tensors: dict[str, Any] = {"x": A}
    tensors["self"] = tensors
    assert places({"a": tensors, "b": tensors}) == ["a"]
    deep: Any = {"x": A}
    for _ in range(16):
        deep = [deep]
    assert len(places(deep)) == 1
    assert places([deep]) == []
    pair: Any = {"x": A}
    for _ in range(15):
        pair = (pair, pair)
    assert len(places(pair)) == 1


def test_more_than_any_file_has() -> None:
    assert len(candidates([{"x": A} for _ in range(MAX_CANDIDATES)])) == MAX_CANDIDATES
    with pytest.raises(JaxnextError, match="it holds more than 5,000 dicts of tensors"):
        candidates([{"x": A} for _ in range(MAX_CANDIDATES + 1)])
