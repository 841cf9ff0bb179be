"""Files with what reading a data set has told, kept for the next start: arrays, and lists of names."""

import contextlib
import hashlib
import os
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxnext.errors import one_line

_FORMAT = 3
_NAMES = "names_"


class IndexFile:
    """One file in a folder of such files, found by the key of what it is about.

    Nothing depends on it: one that is missing, damaged or about something else is not used, one that cannot be written
    is not kept, and the user is told.
    """

    def __init__(self, store: Path, key: str, title: str) -> None:
        """Opens nothing yet.

        Args:
            store: the folder of these files.
            key: of what the file is about; it stands in the file and, digested, in its name.
            title: what the file is about, for messages.
        """
        self.path = store / f"{hashlib.sha256(os.fsencode(key)).hexdigest()[:32]}.npz"
        self._key = key
        self._title = title

    def time(self) -> int | OSError:
        """What the file system's clock says, in nanoseconds, or why nothing can be written.

        Taken from a file made for it, as the process's clock is read by nobody in the package.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.path.parent) as file:
                return os.fstat(file.fileno()).st_mtime_ns
        except OSError as error:
            return error

    def read(self, lines: list[str]) -> tuple[dict[str, NDArray[Any]], dict[str, list[str]]] | None:
        """Arrays and lists of names, or None where there are none; of a damaged file a line is added to ``lines``."""
        if not self.path.exists():
            return None
        try:
            # NumPy leaves a file open that it finds damaged.
            with self.path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                if int(file["format"]) != _FORMAT or _unpacked(file["key"]) != [self._key]:
                    raise ValueError("it is about something else, or of another version")
                arrays = {name: file[name] for name in file if name not in ("format", "key")}
                names = {name.removeprefix(_NAMES): _unpacked(arrays.pop(name)) for name in list(arrays) if _is(name)}
        except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, NotImplementedError) as error:
            lines.append(self.unusable(error))
            return None
        return arrays, names

    def unusable(self, error: Exception) -> str:
        """The line for a file that does not hold what it should."""
        return f"{self.path}: {self._title}: the file cannot be used ({one_line(error)}) and is made anew"

    def write(self, arrays: Mapping[str, NDArray[Any]], names: Mapping[str, Iterable[str]], lines: list[str]) -> None:
        """Writes the file beside and renames it; where that is not possible, ``lines`` gets one that says so.

        Each list of names is one text, a zero after each: loading a million of them takes a fraction of a second.
        """
        packed = {_NAMES + name: _packed(values) for name, values in names.items()}
        content: dict[str, Any] = {"format": np.array(_FORMAT), "key": _packed([self._key]), **arrays, **packed}
        # Not by whole_file: several processes may write it at once, so that each needs a name of its own beside.
        beside = ""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.path.parent, suffix=".part", delete=False) as file:
                beside = file.name
                np.savez(file, **content)
            Path(beside).replace(self.path)
        except OSError as error:
            lines.append(self.unwritable(error))
        finally:
            # Also after Ctrl-C; once renamed it is no longer there.
            if beside:
                with contextlib.suppress(OSError):
                    Path(beside).unlink()

    def unwritable(self, error: OSError) -> str:
        """The line for a file that cannot be written."""
        reason = error.strerror or error
        return (
            f"warning: {self.path}: {self._title}: the file cannot be written ({reason}), so that the next start reads "
            "everything again"
        )


def _is(name: str) -> bool:
    return name.startswith(_NAMES)


def _packed(names: Iterable[str]) -> NDArray[np.uint8]:
    return np.frombuffer(os.fsencode("".join(f"{name}\0" for name in names)), np.uint8)


def _unpacked(text: NDArray[np.uint8]) -> list[str]:
    return os.fsdecode(text.tobytes()).split("\0")[:-1]
