"""Which file a name in a table stands for."""

import itertools
import operator
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MISSING, SEVERAL = -1, -2
"""What ``match`` gives for a name that no file has, or several."""


def match(names: Sequence[str], files: Sequence[str]) -> NDArray[np.int64]:
    """Return the number of each name's file, int64 ``[n]``; ``MISSING`` or ``SEVERAL`` where there is not one.

    A name is the path of a file, also without extension; or its last part alone, where no other file ends so.

    Args:
        names: that are looked for.
        files: paths, each with an extension.
    """
    texts = list(names)
    if _any_has("\\", texts) or _any_has("./", texts):
        whole = set(files)
        texts = [name if name in whole else name.replace("\\", "/").removeprefix("./") for name in texts]
    found = np.full(len(names), MISSING, np.int64)
    missing = np.arange(len(names))
    below = all(map(operator.contains, files, itertools.repeat("/")))
    for short, path, extension in _FORMS:
        # A form that none of the names has is not made of a million files.
        if (path and below and not _any_has("/", texts)) or (extension and not _any_has(".", texts)):
            continue
        known = _numbers(list(map(short, files)))
        numbers = np.fromiter(map(known.get, texts, itertools.repeat(MISSING)), np.int64, len(texts))
        found[missing] = numbers
        left = np.flatnonzero(numbers == MISSING)
        if not len(left):
            break
        missing, texts = missing[left], [texts[i] for i in left.tolist()]
    return found


def _any_has(sign: str, texts: Sequence[str]) -> bool:
    return any(map(operator.contains, texts, itertools.repeat(sign)))


def _numbers(keys: list[str]) -> dict[str, int]:
    known = dict(zip(keys, range(len(keys)), strict=True))
    if len(known) < len(keys):
        for i, key in enumerate(keys):
            if known[key] != i:
                known[key] = SEVERAL
    return known


def _last(file: str) -> str:
    return file[file.rfind("/") + 1 :]


def _stem(file: str) -> str:
    return file[: file.rfind(".")]


def _last_stem(file: str) -> str:
    return file[file.rfind("/") + 1 : file.rfind(".")]


_FORMS = ((str, True, True), (_stem, True, False), (_last, False, True), (_last_stem, False, False))
"""How a name is made of a file's path, and whether it has the folder, and the extension."""
