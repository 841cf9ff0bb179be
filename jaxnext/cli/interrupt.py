"""Signals that ask a command to save and end, or to save and go on."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType

AFTER_THIS_STEP = "stopping after this step; press Ctrl-C again to stop at once without saving"
_GOING_ON = "saving after this step, and going on"


@contextlib.contextmanager
def stop_on_interrupt(said: str = AFTER_THIS_STEP) -> Iterator[Callable[[], bool]]:
    """Within it Ctrl-C, SIGTERM and the end of the terminal only set what the yielded function returns.

    SIGTERM is how a scheduler announces that it takes the machine away; SIGHUP comes when the terminal is closed, and
    stays ignored where it is, as under nohup. A second Ctrl-C raises ``KeyboardInterrupt``.

    Args:
        said: the line that tells the user so.
    """
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True
        _tell(said)

    numbers = [signal.SIGINT, signal.SIGTERM]
    numbers += [signal.SIGHUP] * (signal.getsignal(signal.SIGHUP) != signal.SIG_IGN)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class SaveOnRequest:
    """Within it SIGUSR1 asks to save and go on, SIGUSR2 to save and end, as a scheduler is told to send them."""

    def __init__(self) -> None:
        """Begin with nothing asked."""
        self.saves, self.stop = 0, False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "SaveOnRequest":
        self._before = {number: signal.signal(number, self._handle) for number in (signal.SIGUSR1, signal.SIGUSR2)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Not as they were: one that comes now would end the process, which is about to end with a status of its own.
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGUSR1:
            self.saves += 1
            _tell(_GOING_ON)
        else:
            self.stop = True
            _tell(AFTER_THIS_STEP)


def _tell(line: str) -> None:
    # Not print: a signal may arrive while the stream is being written, and it cannot be entered twice.
    with contextlib.suppress(OSError):  # the terminal may be closed
        os.write(2, f"\n{line}\n".encode())
