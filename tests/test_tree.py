from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnext.tree import differences, flatten, path_name, unflatten

NESTED = {"params": {"head": {"output": {"kernel": 1, "bias": 2}}, "backbone": 3}, "batch_stats": 4}
FLAT = {
    ("params", "head", "output", "kernel"): 1,
    ("params", "head", "output", "bias"): 2,
    ("params", "backbone"): 3,
    ("batch_stats",): 4,
}


def test_flatten_in_the_order_of_the_dicts() -> None:
    assert list(flatten(NESTED).items()) == list(FLAT.items())


def test_flatten_below_a_prefix() -> None:
    assert flatten({"b": {"c": 1}}, ("a",)) == {("a", "b", "c"): 1}


def test_unflatten() -> None:
    assert unflatten(FLAT) == NESTED


def test_an_empty_dict_disappears() -> None:
    assert flatten({"a": {}, "b": {"c": {}}, "d": 1}) == {("d",): 1}
    assert flatten({}) == {}
    assert unflatten({}) == {}


def test_a_list_is_a_leaf() -> None:
    assert flatten({"a": [{"b": 1}]}) == {("a",): [{"b": 1}]}


@pytest.mark.parametrize(
    ("flat", "message"),
    [
        ({("a",): 1, ("a", "b"): 2}, "a/b: a leaf stands where a dict was expected"),
        ({("a", "b", "c"): 1, ("a", "b"): 2}, "a/b: stands twice"),
    ],
)
def test_one_path_begins_another(flat: dict[tuple[str, ...], int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        unflatten(flat)


def test_path_name() -> None:
    assert path_name(("params", "head", "output", "kernel")) == "params/head/output/kernel"


trees = st.recursive(
    st.integers(),
    lambda inner: st.dictionaries(st.text(max_size=3), inner, min_size=1, max_size=3),
    max_leaves=12,
).filter(lambda tree: isinstance(tree, dict))


@settings(deadline=None, max_examples=100)
@given(trees)
def test_flatten_and_back(tree: Any) -> None:
    assert unflatten(flatten(tree)) == tree


def test_differences() -> None:
    expected = {("a", "x"): np.zeros((2, 3)), ("a", "y"): np.zeros(2), ("c",): np.zeros(())}
    found = {("a", "x"): np.zeros((3, 2)), ("b",): np.zeros(4), ("c",): np.ones((), np.int32)}
    assert differences(expected, found) == [
        "a/x: expected [2, 3], found [3, 2]",
        "a/y: expected [2], found no such leaf",
        "b: expected no such leaf, found [4]",
    ]
    assert differences(found, found) == []
