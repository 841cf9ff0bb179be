"""Ctrl-C and SIGTERM, which ask a command to save and end."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType

AFTER_THIS_STEP = "stopping after this step; press Ctrl-C again to stop at once without saving"


@contextlib.contextmanager
def stop_on_interrupt(said: str = AFTER_THIS_STEP) -> Iterator[Callable[[], bool]]:
    """Within it Ctrl-C and SIGTERM only set what the yielded function returns.

    SIGTERM is how a scheduler announces that it takes the machine away. A second Ctrl-C raises ``KeyboardInterrupt``.

    Args:
        said: the line that tells the user so.
    """
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True
        # Not print: a signal may arrive while the stream is being written, and it cannot be entered twice.
        os.write(2, f"\n{said}\n".encode())

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
