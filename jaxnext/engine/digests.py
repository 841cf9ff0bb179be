"""Digests of what a checkpoint holds, by which it is known again: SHA-256 of every array and of every JSON value.

They are computed of what is to be written, before it is written.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxnext.tree import flatten, path_name

Digests = dict[str, dict[str, str]]
"""Of each item: of each of its arrays by its path, or of its JSON value under ``""``."""


def digests_of(arrays: Mapping[str, Any], values: Mapping[str, Any]) -> Digests:
    """Return the digests of items.

    Args:
        arrays: nested dicts of arrays, by item.
        values: plain JSON values, by item.
    """
    found: Digests = {name: {"": _sha256(_canonical(value))} for name, value in values.items()}
    for name, tree in arrays.items():
        found[name] = {path_name(path): _of_array(np.asarray(leaf)) for path, leaf in flatten(tree).items()}
    return found


def digest_of(arrays: Mapping[str, Any]) -> str:
    """Return one digest of nested dicts of arrays, of their paths and values."""
    return _sha256(_canonical(digests_of({"": arrays}, {})[""]))


def difference(expected: Mapping[str, Mapping[str, str]], found: Digests) -> str | None:
    """Return what is not as it was written, the first of it, or ``None``.

    Args:
        expected: digests that were written.
        found: of the items that were read, which may be some of them.
    """
    for item, own in found.items():
        written = expected.get(item)
        if written is None:
            return f"{item}: expected its digests, found none"
        for name in sorted({*written, *own}):
            before, now = written.get(name, "none"), own.get(name, "none")
            if before != now:
                where = f"{item} {name}" if name else item
                return f"{where}: expected SHA-256 {before[:16]}, found {now[:16]}"
    return None


def _of_array(array: np.ndarray) -> str:
    head = f"{array.dtype} {list(array.shape)} ".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _canonical(value: Any) -> str:
    # As it is read again: tuples as lists, keys as text.
    return json.dumps(json.loads(json.dumps(value)), sort_keys=True)
