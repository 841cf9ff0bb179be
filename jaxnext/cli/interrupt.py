"""Ctrl-C and SIGTERM, which ask a command to save and end."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Within it Ctrl-C and SIGTERM only set what the yielded function returns.

    SIGTERM is how a scheduler announces that it takes the machine away. A second Ctrl-C raises ``KeyboardInterrupt``.
    """
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True
        # Not print: a signal may arrive while the stream is being written, and it cannot be entered twice.
        os.write(2, b"\nstopping after this step; press Ctrl-C again to stop at once without saving\n")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
