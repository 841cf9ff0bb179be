"""What a command shows: lines on standard output and standard error, and progress bars."""

import codecs
import errno
import io
import sys
from collections.abc import Iterable
from typing import Any

from jaxnext.errors import harmless


def say(line: str) -> None:
    """Show a line to the user at once, on standard output."""
    print(harmless(line), flush=True)


def warn(line: str) -> None:
    """Show a line to the user on standard error, above the progress bar where one is shown, not at its end."""
    from tqdm import tqdm

    tqdm.write(harmless(line), file=sys.stderr)


def note(line: str) -> None:
    """Show a line to the user on standard error; needs nothing beside Python."""
    print(harmless(line), file=sys.stderr, flush=True)


def batch_bar(batches: Iterable[Any], total: int) -> Iterable[Any]:
    """Return the batches, counted on a terminal by a progress bar."""
    return _bar(batches, total, "batch")


def image_bar(total: int) -> Any:
    """Return a progress bar over so many images, shown on a terminal."""
    return _bar(None, total, "img")


def accept_any_name() -> None:
    """Have this process print any file name: bytes that are no text as they are, other letters as escapes."""
    codecs.register_error("jaxnext_bytes", _as_bytes)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="jaxnext_bytes")


class _Terminal(io.FileIO):
    """A terminal, or what is left of it: once it is closed, what is written to it is dropped."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return memoryview(data).nbytes


def outlive_terminal() -> None:
    """Have this process go on where its terminal is closed, instead of failing at its next line."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and stream.isatty():
            stream.flush()
            lasting = io.BufferedWriter(_Terminal(stream.fileno(), "w", closefd=False))
            setattr(sys, name, io.TextIOWrapper(lasting, stream.encoding, stream.errors, line_buffering=True))


def _as_bytes(error: UnicodeError) -> tuple[bytes | str, int]:
    if not isinstance(error, UnicodeEncodeError):
        return codecs.lookup_error("surrogateescape")(error)
    letter = error.object[error.start]
    byte = ord(letter) - 0xDC00  # Python's form of a byte in a file name that is not UTF-8
    return (bytes([byte]) if 0x80 <= byte < 0x100 else letter.encode("ascii", "backslashreplace")), error.start + 1


def _bar(counted: Iterable[Any] | None, total: int, unit: str) -> Any:
    from tqdm import tqdm

    # disable=None: shown on a terminal only.
    return tqdm(counted, total=total, unit=unit, leave=False, disable=None, dynamic_ncols=True)
