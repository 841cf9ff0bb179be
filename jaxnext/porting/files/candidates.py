"""Every mapping of names to tensors in what a file holds, under whatever keys and however deep."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.modules import Budget, is_module, module_tensors
from jaxnext.porting.files.pickle_names import Placeholder, Tensor, Unread

MAX_DEPTH: Final = 16
"""What lies under more keys is not looked at."""

MAX_CANDIDATES: Final = 5_000
"""A file with more dicts of tensors is refused; an optimizer's state has one for each tensor of the net."""

Described = Tensor | Unread | np.ndarray
"""A tensor as a file describes it; of a ``.safetensors`` file the values themselves."""


class Candidate:
    """A mapping of names to tensors: a dict, or a whole module."""

    __slots__ = ("_keys", "_source")

    def __init__(self, keys: "_Keys", source: object):
        self._keys = keys
        self._source = source

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys under which it lies, from the outermost; none of what the file holds itself."""
        found: list[str] = []
        at = self._keys
        while at is not None:
            found.append(str(at[1]))
            at = at[0]
        return tuple(reversed(found))

    @property
    def is_module(self) -> bool:
        """Whether it is a whole module, which holds no other candidates."""
        return is_module(self._source)

    def tensors(self, budget: Budget) -> dict[str, Described]:
        """Return the tensors by name, without what is none; those of a module from its parts.

        Raises:
            JaxnextError: as ``module_tensors``.
        """
        if is_module(self._source):
            return dict(module_tensors(self._source, budget))
        items = self._source.items() if type(self._source) is dict else ()
        return {key: item for key, item in items if type(key) is str and isinstance(item, Described)}


_Keys = tuple["_Keys", str | int] | None


class _Level(NamedTuple):
    keys: _Keys
    depth: int
    inner: Iterator[tuple[str | int | None, object]]


def candidates(value: object) -> list[Candidate]:
    """List the mappings of names to tensors in an object of ``read_pickle``, in its order; each object once.

    Raises:
        JaxnextError: there are more than ``MAX_CANDIDATES``.
    """
    found: list[Candidate] = []
    seen: set[int] = set()

    def enter(keys: _Keys, depth: int, item: object) -> _Level | None:
        if not _holds_anything(item) or id(item) in seen or depth > MAX_DEPTH:
            return None
        seen.add(id(item))
        if is_module(item) or (type(item) is dict and _has_tensors(item)):
            if len(found) == MAX_CANDIDATES:
                raise JaxnextError(f"it holds more than {MAX_CANDIDATES:,} dicts of tensors")
            found.append(Candidate(keys, item))
        return None if is_module(item) else _Level(keys, depth, _inner(item))

    start = enter(None, 0, value)
    levels = [start] if start else []
    while levels:
        keys, depth, inner = levels[-1]
        for key, item in inner:
            if level := enter(keys if key is None else (keys, key), depth + 1, item):
                levels.append(level)
                break
        else:
            levels.pop()
    return found


def _holds_anything(item: object) -> bool:
    if isinstance(item, Placeholder):
        return bool(item.arguments or item.items or item.elements or item.state)
    return type(item) in (dict, list, tuple) and bool(item)


def _has_tensors(items: dict[str | int, object]) -> bool:
    return any(type(key) is str and isinstance(item, Described) for key, item in items.items())


def _inner(item: object) -> Iterator[tuple[str | int | None, object]]:
    """Yield what lies in a container, each with its key; what a placeholder holds has its keys, or none."""
    if isinstance(item, Placeholder):
        for part in (item.items, item.elements, item.state, item.arguments):
            yield None, part
    elif type(item) is dict:
        yield from item.items()
    elif isinstance(item, list | tuple):
        yield from enumerate(item)
