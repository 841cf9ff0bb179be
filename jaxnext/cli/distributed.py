"""A command run by several processes: how they find each other, and how the end of one ends all."""

import contextlib
import dataclasses
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import NoReturn

from jaxnext import compat
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.training.processes import Processes

CONNECT_SECONDS = 300
"""How long the processes wait for each other at the start."""

_POLL_SECONDS = 0.5
_FAREWELL_SECONDS = 5
_FAILED = "jaxnext/failed"
_LEFT = "jaxnext/left"


@dataclasses.dataclass(frozen=True)
class Distributed:
    """What ``jax.distributed.initialize`` is told; where all are ``None`` it finds out by itself."""

    coordinator_address: str | None = None
    num_processes: int | None = None
    process_id: int | None = None


def together(
    how: Distributed,
    command: Callable[[Processes], int],
    main: Callable[..., int],
    connect_seconds: float = CONNECT_SECONDS,
) -> int:
    """Run a command in every process; where it fails in one, all end.

    Call it before JAX starts its backend. Without it, a process that fails would wait at its end for the others, which
    wait in a collective operation for it.

    Args:
        how: they find each other.
        command: given the processes, returns the exit status.
        main: calls a function with arguments; says an error of the user's as one sentence and returns its exit status.
        connect_seconds: within which all have to be there.

    Returns:
        The exit status. After an error this function does not return: the process has ended with it.

    Raises:
        JaxnextError: the processes do not find each other.
    """
    import jax

    _initialize(how, connect_seconds)
    processes = Processes(jax.process_index(), jax.process_count(), compat.coordination_client())
    watch = Watch(processes)

    def guarded() -> int:
        try:
            return command(processes)
        except jax.errors.JaxRuntimeError as error:
            # Time for the watch to hear of the process whose end this comes from, and to name it.
            time.sleep(4 * _POLL_SECONDS)
            sentence = _lost(error)
            watch.tell(sentence)
            raise JaxnextError(sentence) from error
        except BaseException as error:
            watch.tell(f"{error}" if isinstance(error, JaxnextError | OSError) else type(error).__name__)
            raise

    status = 1
    try:
        status = main(guarded)
    except BaseException:
        watch.failed = True
        traceback.print_exc()
    if watch.failed:
        watch.leave(status)
    watch.close()
    jax.distributed.shutdown()
    return status


class Watch(threading.Thread):
    """Tells the other processes that this one has failed, and ends this one when another has.

    A process that is killed tells nobody. JAX finds out, at once or after 100 seconds without a sign of life, and ends
    the others with a message of its own.
    """

    def __init__(self, processes: Processes) -> None:
        super().__init__(name="watch-other-processes", daemon=True)
        self.processes, self.failed = processes, False
        self._over = threading.Event()
        if processes.store is not None:
            self.start()

    def run(self) -> None:
        """Ask every half second whether a process has failed."""
        while not self._over.wait(_POLL_SECONDS):
            sentence = self._failure()
            if sentence is not None and not self.failed:
                print(f"error: {sentence}", file=sys.stderr)
                self.leave(1)

    def tell(self, sentence: str) -> None:
        """Tell why this process is about to end; only the first that does so is heard."""
        self.failed = True
        self._set(_FAILED, f"process {self.processes.index} has ended: {sentence}")

    def leave(self, status: int) -> NoReturn:
        """End the process at once: an orderly end would wait for the others.

        The coordination service, through which they hear of it, runs in the first one: it leaves as the last.
        """
        if self.processes.first and self.processes.store is not None:
            deadline = time.monotonic() + _FAREWELL_SECONDS
            for other in range(1, self.processes.count):
                left = max(int(1000 * (deadline - time.monotonic())), 1)
                with contextlib.suppress(RuntimeError):
                    self.processes.store.blocking_key_value_get(f"{_LEFT}/{other}", left)
            time.sleep(_POLL_SECONDS)
        self._set(f"{_LEFT}/{self.processes.index}", "yes")
        _end(status)

    def close(self) -> None:
        """Stop watching."""
        self._over.set()
        if self.is_alive():
            self.join()

    def _failure(self) -> str | None:
        if self.processes.store is not None:
            # An error where nobody has failed, and where process 0 was killed, which JAX finds out.
            with contextlib.suppress(RuntimeError):
                return self.processes.store.key_value_try_get(_FAILED)
        return None

    def _set(self, key: str, value: str) -> None:
        if self.processes.store is not None:
            # An error where it is set already, and where process 0 was killed.
            with contextlib.suppress(RuntimeError):
                self.processes.store.key_value_set(key, value)


def _initialize(how: Distributed, seconds: float) -> None:
    import jax

    where = f"at {how.coordinator_address}" if how.coordinator_address else "where the cluster has put the first one"
    # JAX would end the process itself, with a list of C++ functions.
    missed = threading.Timer(seconds, _missed, [f"not all processes have come together {where} in {seconds:g} s"])
    missed.daemon = True
    if how.process_id == 0 and how.coordinator_address is not None:
        _check_port(how.coordinator_address)
    missed.start()
    try:
        with _interruptible():
            jax.distributed.initialize(**dataclasses.asdict(how), initialization_timeout=int(seconds) + 60)
    except (ValueError, RuntimeError) as error:
        if how == Distributed():
            raise UsageError(
                f"--distributed true: JAX has found no cluster around this process ({error}); "
                "give --coordinator_address HOST:PORT --num_processes N --process_id I"
            ) from error
        raise JaxnextError(f"the processes cannot be brought together {where} ({error})") from error
    finally:
        missed.cancel()


def _check_port(address: str) -> None:
    """Process 0 listens there; JAX crashes where it cannot."""
    port = int(address.rpartition(":")[2])
    try:
        with socket.create_server(("", port)):
            pass
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise JaxnextError(
            f"--coordinator_address {address}: process 0 cannot listen on port {port} ({reason}); give another"
        ) from error


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Within it Ctrl-C ends the process: Python's own handler would wait for the call into JAX to return."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _missed(sentence: str) -> None:
    print(f"error: {sentence}; start all of them, with the same address and number", file=sys.stderr)
    _end(1)


def _lost(error: Exception) -> str:
    reason = str(error).partition("\n")[0]
    reason = reason if len(reason) <= 300 else f"{reason[:300]} ..."
    return (
        f"the computation with the other processes has failed ({reason}); where one of them has ended, start all again "
        "with --resume auto"
    )


def _end(status: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)
