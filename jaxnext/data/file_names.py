"""Which file a name in a table stands for."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

MISSING, SEVERAL = -1, -2
"""What ``match`` gives for a name that no file has, or several."""


def match(names: Sequence[str], files: Sequence[str]) -> NDArray[np.int64]:
    """Return the number of each name's file, int64 ``[n]``; ``MISSING`` or ``SEVERAL`` where there is not one.

    A name is the path of a file, also without extension; or its last part alone, where no other file ends so.
    """
    found = _numbers(names, {file: i for i, file in enumerate(files)})
    for short in (str, _stem, _last, lambda file: _stem(_last(file))):
        missing = np.flatnonzero(found == MISSING).tolist()
        if not missing:
            break
        known: dict[str, int] = {}
        for i, file in enumerate(files):
            known[name] = SEVERAL if (name := short(file)) in known else i
        found[missing] = _numbers([_plain(names[i]) for i in missing], known)
    return found


def _numbers(names: Iterable[str], known: dict[str, int]) -> NDArray[np.int64]:
    return np.fromiter((known.get(name, MISSING) for name in names), np.int64)


def _plain(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")


def _last(file: str) -> str:
    return file[file.rfind("/") + 1 :]


def _stem(file: str) -> str:
    return file[: file.rfind(".")]
