"""Processes of one run on this machine: started together, given signals, and ended together."""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import IO

FORWARDED = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2")
"""Signals that go on to the first process, which tells the others; those that the system has."""

_FAREWELL_SECONDS = 8
"""That the others have to say why they end, when one has ended with an error. A frozen one says nothing."""
_POLL_SECONDS = 0.2


class Supervisor:
    """Starts processes, and sees that none outlives another that has failed."""

    def __init__(self) -> None:
        """Begin without processes."""
        self.asked: int | None = None
        """the last signal that came"""
        self._running: list[subprocess.Popen[bytes]] = []

    @contextlib.contextmanager
    def forwarding(self) -> Iterator[None]:
        """Within it signals to this process are the first one's."""
        numbers = [signal.Signals[name] for name in FORWARDED if name in signal.Signals.__members__]
        before = {number: signal.signal(number, self._forward) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def run(self, commands: Sequence[Sequence[str]], environments: Sequence[Mapping[str, str]]) -> list[int]:
        """Start a process of each command and wait for all; where one fails, the others are ended after some seconds.

        The first one speaks for itself; what the others say on stderr stands behind their number. Each has a session of
        its own, so that Ctrl-C reaches it only through this process, and a standard input that ends with this process.

        Args:
            commands: program and arguments of each.
            environments: of each.

        Returns:
            the exit statuses, minus the signal's number where one ended a process.
        """
        voices = []
        try:
            for index, (command, environment) in enumerate(zip(commands, environments, strict=True)):
                process = subprocess.Popen(
                    command,
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL if index else None,
                    stderr=subprocess.PIPE if index else None,
                    start_new_session=True,
                )
                self._running.append(process)
                if process.stderr is not None:
                    voices.append(threading.Thread(target=_pass_on, args=(index, process.stderr), daemon=True))
                    voices[-1].start()
            self._wait()
        finally:
            for process in self._running:
                process.kill()
                process.wait()
                if process.stdin is not None:
                    process.stdin.close()
            statuses = [process.returncode for process in self._running]
            self._running = []
        for voice in voices:
            # A process of theirs may hold the stream open.
            voice.join(1)
        return statuses

    def _wait(self) -> None:
        deadline = None
        while None in (statuses := [process.poll() for process in self._running]):
            if deadline is None and any(statuses):
                # One that was told to end before it could heed it has not said so to the others.
                farewell = 0 if statuses[0] == -(self.asked or 0) else _FAREWELL_SECONDS
                deadline = time.monotonic() + farewell
            if deadline is not None and time.monotonic() > deadline:
                return
            time.sleep(_POLL_SECONDS)

    def _forward(self, number: int, frame: FrameType | None) -> None:
        self.asked = number
        if self._running:
            self._running[0].send_signal(number)


def _pass_on(index: int, stream: IO[bytes]) -> None:
    with stream:
        for line in stream:
            text = line.decode("utf-8", "backslashreplace").rstrip("\n")
            print(f"process {index}: {text}", file=sys.stderr, flush=True)
