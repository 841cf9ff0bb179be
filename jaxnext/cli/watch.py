"""How the end of one process of several ends all: signs of life, and what the others say when they stop."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from jaxnext.training.processes import Processes

SILENCE = 20.0
"""Seconds without a sign of life after which a process is taken for dead: more than C code holds Python for, and so
that all have ended 30 seconds after it."""

_POLL_SECONDS = 0.5
_BEAT_SECONDS = 1.0
_FAREWELL_SECONDS = 5
_SUSPICIOUS_SECONDS = 4
"""Without a sign of life after which a process is named, where the computation with it has failed."""
_FAILED = "jaxnext/failed"
_LEFT = "jaxnext/left"
_ALIVE = "jaxnext/alive"


class Watch(threading.Thread):
    """Tells the other processes that this one has failed, and ends this one when another has.

    A process that is killed or frozen tells nobody. Each counts up a number in the store every second, by a thread of
    its own, which waits where process 0 does not answer; this thread looks at how long ago the numbers have changed.
    """

    def __init__(self, processes: Processes) -> None:
        super().__init__(name="watch-other-processes", daemon=True)
        self.processes, self.failed = processes, False
        self._over = threading.Event()
        # Held by the one who says why this process ends.
        self._speaks = threading.Lock()
        self._said: str | None = None
        self._first_is_lost = False
        self._others = [index for index in range(processes.count) if index != processes.index]
        now = time.monotonic()
        self._looked = self._woken = now
        self._numbers = dict.fromkeys(self._others, "")
        self._heard = dict.fromkeys(self._others, now)
        # Processes that have to be heard before this one, which was frozen, goes on: how often.
        self._awaited: dict[int, int] = {}
        self._beats = threading.Thread(target=self._beat, name="signs-of-life", daemon=True)
        if processes.store is not None:
            self.start()

    def start(self) -> None:
        """Begin to give and to look for signs of life."""
        super().start()
        self._beats.start()

    def run(self) -> None:
        """Ask every half second whether a process has failed or is silent."""
        while not self._over.wait(_POLL_SECONDS):
            self._notice_pause()
            sentence = self._said or self._silent()
            if sentence is not None:
                self.end(sentence)

    def end(self, sentence: str) -> None:
        """Say why and end this process, from any thread, unless it is about to end for a reason of its own."""
        if self._over.is_set() or not self._speaks.acquire(blocking=False):
            return
        self.failed = True
        if sentence != self._said:
            self._set(_FAILED, sentence)
        # Whoever read it may have ended, too.
        with contextlib.suppress(OSError, ValueError):
            print(f"error: {sentence}", file=sys.stderr)
        self.leave(1)

    def lost_first(self) -> None:
        """End this process, since the connection to process 0 is broken."""
        # Time to hear why, where it could tell.
        self._over.wait(2 * _POLL_SECONDS)
        self._first_is_lost = True
        self.end(_AGAIN.format("process 0 has ended without a word"))

    def tell(self, sentence: str) -> None:
        """Tell why this process is about to end; only the first that does so is heard.

        Where the watching thread is about to end it, and says why, it does not return.
        """
        if not self._speaks.acquire(blocking=False):
            threading.Event().wait()
        self.failed = True
        self._set(_FAILED, f"process {self.processes.index} has ended: {sentence}")

    def leave(self, status: int) -> NoReturn:
        """End the process at once: an orderly end would wait for the others.

        The coordination service, through which they hear of it, runs in the first one: it leaves as the last.
        """
        store = self.processes.store
        if self.processes.first and store is not None:
            deadline = time.monotonic() + _FAREWELL_SECONDS
            for other in self._others:
                silent = time.monotonic() - self._heard[other] > _SUSPICIOUS_SECONDS
                left = 1 if silent and self.is_alive() else max(int(1000 * (deadline - time.monotonic())), 1)
                with contextlib.suppress(RuntimeError):
                    store.blocking_key_value_get(f"{_LEFT}/{other}", left)
            time.sleep(_POLL_SECONDS)
        self._set(f"{_LEFT}/{self.processes.index}", "yes")
        end_process(status)

    def named(self) -> str:
        """Return who gives no sign of life, after the time that it takes to see; empty where all do."""
        deadline = time.monotonic() + _SUSPICIOUS_SECONDS + 2 * _BEAT_SECONDS
        while self.is_alive() and time.monotonic() < deadline:
            now = time.monotonic()
            silent = [str(other) for other in self._others if now - self._heard[other] > _SUSPICIOUS_SECONDS]
            if silent:
                return f"process {' and '.join(silent)} gives no sign of life"
            time.sleep(_POLL_SECONDS)
        return ""

    def hold(self, number: int = signal.SIGCONT, frame: FrameType | None = None) -> None:
        """Wait in the main thread, as SIGCONT's handler, until a process that was frozen hears from all others.

        They may have ended meanwhile, and others may have begun in their place: this one must not write any more. Where
        they are silent, the watching thread ends it.
        """
        self._notice_pause()
        while self._awaited and not self._over.is_set():
            time.sleep(_POLL_SECONDS / 10)

    def close(self) -> None:
        """Stop watching."""
        self._over.set()
        if self.is_alive():
            self.join()

    def _notice_pause(self) -> None:
        """Not count the time in which this process itself did not run; after a long one, be sure of the others."""
        now = time.monotonic()
        pause, self._looked = now - self._looked, now
        if pause < SILENCE / 4:
            return
        self._heard = {other: min(heard + pause, now) for other, heard in self._heard.items()}
        if pause < SILENCE / 2:
            return
        # One message may have been on its way when they ended.
        self._woken, self._awaited = now, dict.fromkeys(self._others, 2)
        if threading.current_thread() is self:
            # Not everything that freezes a process sends it a signal when it goes on.
            os.kill(os.getpid(), signal.SIGCONT)

    def _silent(self) -> str | None:
        now = time.monotonic()
        for other in self._others:
            if now - self._heard[other] > SILENCE:
                return _AGAIN.format(f"process {other} has given no sign of life for {SILENCE:g} s")
        return None

    def _beat(self) -> None:
        """Give signs of life and look for those of the others, until the store is gone."""
        number, store = 0, self.processes.store
        while store is not None and not self._over.wait(_BEAT_SECONDS if number else 0):
            number += 1
            begun = time.monotonic()
            # An error where process 0 was killed; the relay tells of it.
            with contextlib.suppress(RuntimeError):
                store.key_value_set(f"{_ALIVE}/{self.processes.index}", str(number), allow_overwrite=True)
                self._hear(dict(store.key_value_dir_get(f"{_ALIVE}/")), begun)
            # An error where nobody has failed.
            with contextlib.suppress(RuntimeError):
                self._said = store.key_value_try_get(_FAILED)

    def _hear(self, numbers: dict[str, str], begun: float) -> None:
        for other in self._others:
            found = numbers.get(f"{_ALIVE}/{other}", "")
            if found == self._numbers[other]:
                continue
            self._numbers[other], self._heard[other] = found, time.monotonic()
            if other in self._awaited and begun > self._woken:
                left = self._awaited[other] - 1
                self._awaited = {**self._awaited, other: left}
                if not left:
                    self._awaited = {index: count for index, count in self._awaited.items() if index != other}

    def _set(self, key: str, value: str) -> None:
        store = self.processes.store
        if store is None or self._first_is_lost:
            return

        def set_value() -> None:
            # An error where it is set already, and where process 0 was killed.
            with contextlib.suppress(RuntimeError):
                store.key_value_set(key, value)

        _within(2.0, set_value)


_AGAIN = "{}; start all again with --resume auto"


def _within(seconds: float, call: Callable[[], None]) -> None:
    """Call, and wait for so long only: where process 0 is frozen, it does not answer."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)


def end_process(status: int) -> NoReturn:
    """End the process at once, with what was said."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)
