"""The command ``jaxnext``, and from an exception to an exit status for every command."""

import errno
import importlib
import os
import select
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

from jaxnext.cli.console import accept_any_name
from jaxnext.cli.invocation import Invocation
from jaxnext.data.pillow_warnings import silence_pillow
from jaxnext.errors import JaxnextError, UsageError, harmless, one_line
from jaxnext.version import __version__

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE}
"""What a full, broken, read-only or lost disk answers, where no other place has made a sentence of it."""


def console() -> int:
    """Run what ``jaxnext ...`` asks for; return the exit status."""
    try:
        return main(_console, sys.argv[1:], Invocation(sys.argv[0]))
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name in ("", "jaxnext"):
            raise
        print(f"error: {name} is not installed for {sys.executable}; install jaxnext with pip again", file=sys.stderr)
        return 1


def script(command: str) -> int:
    """Run a command for its script in the checkout; return the exit status."""
    return main(run, command, sys.argv[1:], Invocation(sys.argv[0], is_script=True))


def run(command: str, argv: Sequence[str], invocation: Invocation) -> int:
    """Run one of ``commands()`` with its options; return the exit status."""
    return importlib.import_module(f"jaxnext.cli.{command}").run(argv, invocation)


def commands() -> dict[str, str]:
    """Return name and description of each command: a file here that begins with its name, as the user types it."""
    found = {}
    for file in sorted(Path(__file__).parent.glob("*.py")):
        with file.open(encoding="utf-8") as lines:
            first = lines.readline().strip().strip('"')
        if first.startswith(prefix := f"``jaxnext {file.stem}``: "):
            found[file.stem] = first.removeprefix(prefix).rstrip(".")
    return found


def main(command: Callable[..., int], *arguments: Any) -> int:
    """Call a command and return its exit status; what the user did wrong is one sentence on stderr.

    130 after Ctrl-C, as shells have it. Any other exception is a defect of the program and keeps its traceback.
    """
    silence_pillow()
    accept_any_name()
    try:
        try:
            return command(*arguments)
        finally:
            sys.stdout.flush()
    except JaxnextError as error:
        print(f"error: {harmless(str(error))}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        closed = [stream for stream in (sys.stdout, sys.stderr) if _is_closed(stream)]
        if not closed:
            raise
        _forget(*closed)
        return 1
    except OSError as error:
        if not (isinstance(error, PermissionError) or error.errno in _DISK):
            raise
        name = error.filename
        if name is None and not _is_written(sys.stdout):
            name = "standard output"
            _forget(sys.stdout)
        place = f"{name}: " if name is not None else ""
        print(f"error: {harmless(str(place))}{error.strerror or one_line(error)}", file=sys.stderr)
        return 1


def _console(argv: Sequence[str], invocation: Invocation) -> int:
    known, word = commands(), argv[0] if argv else ""
    if word in ("-h", "--help"):
        width = max(map(len, known))
        lines = [f"  {name:<{width}}  {text}" for name, text in known.items()]
        print("usage: jaxnext COMMAND [OPTIONS]", "", *lines, "", sep="\n")
        print("jaxnext COMMAND --help shows a command's options, jaxnext --version the version.")
        return 0
    if word == "--version":
        print(f"jaxnext {__version__}")
        return 0
    names = ", ".join(known)
    if not argv:
        raise UsageError(f"a command is missing: give one of {names}; jaxnext --help explains them")
    if word not in known:
        raise UsageError(f"unknown command {word!r}: expected one of {names}")
    return run(word, argv[1:], invocation)


def _forget(*streams: TextIO) -> None:
    """Lose what a stream still has: the interpreter flushes once more on exit, which would print a traceback."""
    for stream in streams:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _is_written(stream: TextIO) -> bool:
    """Return whether a stream takes what is still to be written."""
    try:
        stream.flush()
    except OSError:
        return False
    return True


def _is_closed(stream: TextIO) -> bool:
    """Return whether nobody reads a stream any more, by its descriptor: an unbuffered stream forgets that it failed."""
    if not hasattr(select, "poll"):
        return True
    watch = select.poll()
    watch.register(stream.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in watch.poll(0))
