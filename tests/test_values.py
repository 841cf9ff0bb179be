import math
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
