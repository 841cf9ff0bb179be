import math
import re
from typing import Any, Literal

import pytest

from jaxnext.config.values import check, expected, found, nearest, require


def test_require() -> None:
    require(True, "a", "b", "c")
    with pytest.raises(ValueError, match=r"^seed: expected at least 1, found 'x'$"):
        require(False, "seed", "at least 1", "x")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("model.dropot", "model.dropout"),
        ("learning_rate", "optimizer.learning_rate"),
        ("batchsize", "batch_size"),
        ("Epochs", "epochs"),
    ],
)
def test_nearest(name: str, near: str) -> None:
    assert nearest(name, ["epochs", "batch_size", "model.dropout", "optimizer.learning_rate", "optimizer.eps"]) == near


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (bool, "true or false"),
        (Literal["a", "b"], "one of a, b"),
        (int | None, "a whole number or null"),
        (tuple[int, ...], "a list of whole numbers such as [1, 2]"),
        (dict[str, float] | None, "a mapping such as {a: 1} or null"),
        (int | dict[int, int], "a whole number or a mapping such as {0: 1}"),
        (tuple[float, ...], "a list of numbers such as [0.5, 1]"),
    ],
)
def test_expected(hint: Any, words: str) -> None:
    assert expected(hint) == words


def test_found() -> None:
    assert [found(value) for value in (None, True, "a", [1])] == ["null", "true", "'a'", "[1]"]
    assert found("x" * 100) == "'" + "x" * 76 + "..."


@pytest.mark.parametrize(
    ("value", "hint", "result"),
    [(1, float, 1.0), ([1, 2], tuple[int, ...], (1, 2)), (None, str | None, None), ("a", Literal["a"], "a")],
)
def test_check(value: Any, hint: Any, result: Any) -> None:
    assert check(value, hint, "key") == result
    assert type(check(value, hint, "key")) is type(result)


@pytest.mark.parametrize(
    ("value", "hint"), [(True, int), (1.0, int), ("1", float), (math.inf, float), ([1.5], tuple[int, ...])]
)
def test_check_refuses(value: Any, hint: Any) -> None:
    with pytest.raises(ValueError, match=r"^key: expected "):
        check(value, hint, "key")


@pytest.mark.parametrize(("value", "result"), [("a", "a"), (["a", "b"], ("a", "b")), (None, None)])
def test_one_text_or_several(value: Any, result: Any) -> None:
    assert check(value, tuple[str, ...] | str | None, "key") == result
    with pytest.raises(ValueError, match=r"key: expected text, a list of texts such as \[a, b\] or null, found 3"):
        check(3, tuple[str, ...] | str | None, "key")


def test_a_mapping_comes_back_in_the_order_of_its_keys() -> None:
    for hint in (dict[str, float], dict[str, float] | None):
        found = check({"stem": 0.5, "head": 10}, hint, "key")
        assert repr(found) == "{'head': 10.0, 'stem': 0.5}"
    assert check({20: 224, 3: 96}, int | dict[int, int], "key") == {3: 96, 20: 224}


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"head": "10"}, "key.head: expected a number, found '10'"),
        ({3: 10}, "key: expected text, found 3"),
        ([1], "key: expected a mapping such as {a: 1}, found [1]"),
    ],
)
def test_what_is_no_such_mapping(value: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        check(value, dict[str, float], "key")
