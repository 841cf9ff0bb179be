"""Values of settings: whether one is of the type that is expected, and how a sentence shows it."""

import difflib
import sys
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

_LARGEST = 10**18
"""Whole numbers from here on are refused: nothing of a training run is counted so far, and arrays hold no larger."""


def require(ok: bool, key: str, expected: str, found: object) -> None:
    """Refuse a value that is out of range.

    Raises:
        ValueError: ``ok`` is false; says the dotted ``key``, what was expected and what was found.
    """
    if not ok:
        raise ValueError(f"{key}: expected {expected}, found {found!r}")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name most like ``name``; one without a dot is compared with what follows the last dot, too."""

    def likeness(candidate: str) -> float:
        last = candidate.rpartition(".")[2]
        forms = (candidate,) if "." in name else (candidate, last)
        return max(difflib.SequenceMatcher(None, name, form).ratio() for form in forms)

    return max(known, key=likeness)


def expected(hint: Any) -> str:
    """Describe a value of the type ``hint``."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return ("one of " if len(arguments) > 1 else "") + ", ".join(arguments)
    if origin is types.UnionType or origin is typing.Union:
        *first, last = (expected(a) for a in sorted(arguments, key=_rank))
        return f"{', '.join(first)} or {last}"
    if origin is tuple:
        return "a list of " + {str: "texts such as [a, b]", float: "numbers such as [0.5, 1]"}.get(
            arguments[0], "whole numbers such as [1, 2]"
        )
    if origin is dict:
        return f"a mapping such as {'{a: 1}' if arguments[0] is str else '{0: 1}'}"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text", types.NoneType: "null"}[hint]


def _rank(hint: Any) -> int:
    return 3 if hint is types.NoneType else {tuple: 1, dict: 2}.get(typing.get_origin(hint), 0)  # pyright: ignore


def found(value: Any) -> str:
    """Return a value as YAML would write it, short enough for a sentence."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def check(value: Any, hint: Any, key: str) -> Any:
    """Return ``value`` as the type ``hint``: whole numbers become numbers and lists tuples, nothing else is converted.

    A mapping comes back in the order of its keys, so that equal ones are written alike.

    Raises:
        ValueError: The value is of another type; the message names ``key``.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType or origin is typing.Union:
        for argument in arguments:
            if _matches(value, argument):
                return check(value, argument, key)
    elif origin is tuple and isinstance(value, list | tuple):
        return tuple(check(item, arguments[0], key) for item in value)
    elif origin is dict and isinstance(value, Mapping):
        items = (
            (check(name, arguments[0], key), check(item, arguments[1], f"{key}.{name}")) for name, item in value.items()
        )
        return dict(sorted(items))
    elif _matches(value, hint):
        return float(value) if hint is float else value
    wanted = expected(hint)
    if wanted == expected(int) and isinstance(value, int) and abs(value) >= _LARGEST:
        wanted += " of at most 18 digits"
    raise ValueError(f"{key}: expected {wanted}, found {found(value)}")


def _matches(value: Any, hint: Any) -> bool:
    if typing.get_origin(hint) is tuple:
        return isinstance(value, list | tuple)
    if typing.get_origin(hint) is dict:
        return isinstance(value, Mapping)
    if typing.get_origin(hint) is typing.Literal:
        return isinstance(value, str) and value in typing.get_args(hint)
    if isinstance(value, bool):
        return hint is bool
    if hint is int:
        return isinstance(value, int) and abs(value) < _LARGEST
    if hint is float:
        return isinstance(value, int | float) and abs(value) <= sys.float_info.max
    return isinstance(hint, type) and isinstance(value, hint)
