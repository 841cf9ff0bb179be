"""From an exception to an exit status, for every command."""

import os
import select
import sys
from collections.abc import Callable
from typing import Any, TextIO

from jaxnext.data.pillow_warnings import silence_pillow
from jaxnext.errors import JaxnextError

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def main(command: Callable[..., int], *arguments: Any) -> int:
    """Calls a command and returns its exit status; what the user did wrong is one sentence on stderr.

    130 after Ctrl-C, as shells have it. Any other exception is a defect of the program and keeps its traceback.
    """
    silence_pillow()
    try:
        try:
            return command(*arguments)
        finally:
            sys.stdout.flush()
    except JaxnextError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except PermissionError as error:
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        closed = [stream for stream in (sys.stdout, sys.stderr) if _is_closed(stream)]
        if not closed:
            raise
        # The interpreter flushes once more on exit, which would print a traceback.
        for stream in closed:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return 1


def _is_closed(stream: TextIO) -> bool:
    """Whether nobody reads a stream any more. Asked of the descriptor: an unbuffered stream forgets that it failed."""
    if not hasattr(select, "poll"):
        return True
    watch = select.poll()
    watch.register(stream.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in watch.poll(0))
