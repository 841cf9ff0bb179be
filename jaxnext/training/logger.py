"""What a logger is: the files of ``training/loggers`` are such. It is shown what a run finds, and alters nothing."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from jaxnext.errors import UsageError
from jaxnext.types import UInt8Image


class Begun(NamedTuple):
    """What a logger is told of a run."""

    folder: Path
    """of the run, which may be begun or gone on with"""
    config: Mapping[str, Any]
    """every setting under its dotted key"""
    epochs: int
    """that it has been shown already"""
    id: str | None
    """what ``Log.id`` was when the run was begun; ``None`` where it begins"""

    @property
    def name(self) -> str:
        """The run's name, its folder's."""
        return self.folder.absolute().name


class Shown(NamedTuple):
    """What a logger is shown after an epoch, or, as epoch 0, before the first."""

    epoch: int
    scalars: Mapping[str, float] = {}
    images: Mapping[str, UInt8Image] = {}
    histograms: Mapping[str, NDArray[Any]] = {}


class Log(Protocol):
    """A logger at work."""

    id: str
    """by which a resumed run goes on in the same place"""

    def show(self, shown: Shown) -> None:
        """Keep it so that it outlives this process."""
        ...

    def close(self, failed: bool) -> None:
        """Finish, the run having come to its end, been stopped, or ``failed``."""
        ...


class Logger(Protocol):
    """What each file's dataclass ``Logger`` offers; its other fields are the options. It logs in one process only."""

    images: bool
    """whether it is to be shown pictures"""

    def check(self) -> None:
        """Raise a ``UsageError`` where its library is missing."""
        ...

    def open(self, begun: Begun) -> Log:
        """Begin, or go on; may raise anything."""
        ...


def library(logger: str, module: str) -> Any:
    """Return a logger's library.

    Args:
        logger: its name, which is also that of its extra.
        module: of the library.

    Raises:
        UsageError: it is not installed.
    """
    try:
        # By its name, for where it is not installed, its types are unknown, too.
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(
            f"logger {logger}: expected the library {module}, found that it is not installed; pip install "
            f"'jaxnext[{logger}]' ({' '.join(str(error).split())})"
        ) from error


def scalars_of(record: Mapping[str, float]) -> dict[str, float]:
    """Return what loggers show of an epoch's record, under names that group training with validation."""
    return {
        **{f"{name}/{split}": record[f"{split}_{name}"] for name in ("loss", "accuracy") for split in ("train", "val")},
        **{name: record[name] for name in ("learning_rate", "images_per_second", "data_wait_fraction", "seconds")},
    }


def plain_text(value: Any) -> Any:
    """Return a setting as libraries take it: numbers and texts as they are, all else as its text."""
    return value if isinstance(value, bool | int | float | str) else "null" if value is None else str(value)


def as_floats(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the finite ones of some values, in one row."""
    flat = np.asarray(values, np.float64).ravel()
    return flat[np.isfinite(flat)]
