"""Files and folders that are whole or not there: written beside under another name, then renamed."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Literal

from jaxnext.errors import JaxnextError


@contextlib.contextmanager
def whole_file(path: Path, mode: Literal["w", "wb"] = "w") -> Iterator[IO[Any]]:
    """Open a file that appears under its name only when the block ends well.

    Args:
        path: of the file; missing folders above it are made.
        mode: ``w`` for UTF-8 text, written with the line ends it is given, or ``wb``.

    Raises:
        JaxnextError: the file cannot be written; names the path.
    """
    if not path.name or os.path.isdir(path):  # noqa: PTH112 - the method raises where the name is too long
        raise JaxnextError(f"{path}: expected the name of a file, found a folder")
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open(mode) if mode == "wb" else beside.open(mode, encoding="utf-8", newline="") as file:
            yield file
        beside.replace(path)
    except OSError as error:
        raise JaxnextError(f"{path}: the file cannot be written ({error.strerror or error})") from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


@contextlib.contextmanager
def whole_folder(path: Path, what: str) -> Iterator[Path]:
    """Give an empty folder that takes the place of ``path`` when the block ends well.

    Args:
        path: of the folder; missing ones above it are made. An empty one may be there.
        what: it holds, for messages.

    Raises:
        JaxnextError: the folder or what the block puts into it cannot be written; names the path.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        yield beside
        if path.is_dir():
            path.rmdir()
        beside.replace(path)
    except OSError as error:
        raise JaxnextError(f"{path}: {what} cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
