"""SHA-256 of files that are handed on, by which they are known again wherever they were copied to.

- A folder has them in a file ``SHA256SUMS``, as ``sha256sum`` writes it.
- A format with a place for texts has its own in itself: of all its bytes, its own place read as zeros (``UNSEALED``).
- Any other file ``NAME`` has a file ``NAME.sha256`` beside it.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxnext.atomic import whole_file

SUMS = "SHA256SUMS"
SUFFIX = ".sha256"
UNSEALED = "jaxnext-sha256:" + 64 * "0"
"""The text that ``sealed`` finds in a file and replaces."""
_SEAL = re.compile(rb"jaxnext-sha256:([0-9a-f]{64})")
_LINE = re.compile(rb"\\?([0-9a-f]{64}) [ *](.+)")


class Checked(NamedTuple):
    """What a look at one file has come to."""

    place: str
    problem: str | None
    """what was expected of it and found; ``None`` where it is whole"""


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's content."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def write_sums(folder: Path, known: Mapping[str, str] | None = None) -> None:
    """Write the digests of all files of a folder beside them.

    Args:
        folder: that is finished.
        known: digests of some of its files, by name; the others are read.

    Raises:
        JaxnextError: it cannot be written.
        OSError: a file cannot be read.
    """
    known = known or {}
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != SUMS)
    with whole_file(folder / SUMS, "wb") as file:
        for name in names:
            file.write(_line(known.get(name) or sha256(folder / name), name))


def check_sums(folder: Any, wanted: Callable[[str], bool] = lambda name: True) -> Iterator[Checked]:
    """Read the files of a folder that are listed beside them.

    Args:
        folder: a path, also of a bucket, with a file ``SHA256SUMS``.
        wanted: whether a file of this name is read.
    """
    try:
        lines = (folder / SUMS).read_bytes().splitlines()
    except OSError as error:
        yield Checked(str(folder / SUMS), f"the file cannot be read ({error.strerror or error})")
        return
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        name = _name(line, match[2]) if match else ""
        if match is None or "/" in name or name in (".", ".."):
            yield Checked(f"{folder / SUMS}: line {number}", "expected a SHA-256 and the name of a file, found another")
        elif wanted(name):
            yield Checked(str(folder / name), problem_of(folder / name, match[1].decode()))


def sealed(content: bytes) -> bytes:
    """Return a file's content with its digest in the place that ``UNSEALED`` keeps for it; without one as it is."""
    start = content.find(UNSEALED.encode())
    if start < 0:
        return content
    end = start + len(UNSEALED)
    return content[: end - 64] + hashlib.sha256(content).hexdigest().encode() + content[end:]


def has_seal(path: Path) -> bool:
    """Whether a file has its digest in itself."""
    return _SEAL.search(path.read_bytes()) is not None


def write_beside(path: Path) -> None:
    """Write the digest of a file beside it; errors as ``write_sums``."""
    with whole_file(beside(path), "wb") as file:
        file.write(_line(sha256(path), path.name))


def beside(path: Path) -> Path:
    """Return where the digest of a file is that has none in itself."""
    return path.with_name(path.name + SUFFIX)


def check_file(path: Path) -> Checked:
    """Compare a file with its digest, in itself or beside it."""
    try:
        if beside(path).exists():
            match = _LINE.match(beside(path).read_bytes())
            if match is None:
                return Checked(str(beside(path)), "expected a SHA-256 and the name of a file, found another")
            return Checked(str(path), problem_of(path, match[1].decode()))
        content = path.read_bytes()
    except OSError as error:
        return Checked(str(path), f"the file cannot be read ({error.strerror or error})")
    match = _SEAL.search(content)
    if match is None:
        return Checked(str(path), f"expected its SHA-256 in it or in {beside(path).name} beside it, found none")
    digest = hashlib.sha256(content[: match.start(1)])
    digest.update(64 * b"0")
    digest.update(memoryview(content)[match.end(1) :])
    return Checked(str(path), _difference(match[1].decode(), digest.hexdigest()))


def problem_of(path: Any, expected: str) -> str | None:
    """Return what is wrong with a file, also of a bucket, that has to have a SHA-256; ``None`` where nothing is."""
    try:
        return _difference(expected, sha256(path))
    except FileNotFoundError:
        return f"expected a file with the SHA-256 {expected}, found none"
    except OSError as error:
        return f"the file cannot be read ({error.strerror or error})"


def _difference(expected: str, found: str) -> str | None:
    return None if expected == found else f"expected the SHA-256 {expected}, found {found}"


def _name(line: bytes, written: bytes) -> str:
    name = os.fsdecode(written)
    if not line.startswith(b"\\"):
        return name
    return re.sub(r"\\([\\nr])", lambda match: {"n": "\n", "r": "\r"}.get(match[1], match[1]), name)


def _line(digest: str, name: str) -> bytes:
    # As sha256sum: a name that would break the line is escaped, and the line begins with a backslash.
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return b"\\" * (escaped != name) + f"{digest}  ".encode() + os.fsencode(escaped) + b"\n"
