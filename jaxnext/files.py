"""Files that are whole or not there."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Literal

from jaxnext.errors import JaxnextError


@contextlib.contextmanager
def whole_file(path: Path, mode: Literal["w", "wb"] = "w") -> Iterator[IO[Any]]:
    """A file that appears under its name only when the block ends well: written beside, then renamed.

    Args:
        path: of the file; missing folders above it are made.
        mode: ``w`` for UTF-8 text, written with the line ends it is given, or ``wb``.

    Raises:
        JaxnextError: the file cannot be written; names the path.
    """
    if not path.name or path.is_dir():
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
