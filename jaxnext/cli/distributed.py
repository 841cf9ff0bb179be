"""A command run by several processes: how they find each other, and how the end of one ends all."""

import contextlib
import dataclasses
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator

from jaxnext import compat
from jaxnext.cli.relay import Relay
from jaxnext.cli.watch import Watch, end_process
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.training.processes import PATIENCE, Processes

CONNECT_SECONDS = 300
"""How long the processes wait for each other at the start."""

_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy", "no_grpc_proxy")
"""Environment variables that gRPC reads; the last has what is reached without one."""

_SHUTDOWN_SECONDS = 5
"""Within which all leave JAX's service, when all are at their end."""


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

    relay = _initialize(how, connect_seconds)
    client, index, count = compat.coordination()
    processes = Processes(index, count, client)
    watch = Watch(processes)
    if relay is not None:
        relay.hold(watch.lost_first)

    def guarded() -> int:
        try:
            return command(processes)
        except jax.errors.JaxRuntimeError as error:
            # Time for the watch to hear of the process whose end this comes from, and to name it.
            sentence = _lost(error, watch.named())
            watch.tell(sentence)
            raise JaxnextError(sentence) from error
        except BaseException as error:
            watch.tell(f"{error}" if isinstance(error, JaxnextError | OSError) else type(error).__name__)
            raise

    status = 1
    with _when_continued(watch):
        try:
            status = main(guarded)
        except BaseException:
            watch.failed = True
            traceback.print_exc()
        if watch.failed:
            watch.leave(status)
        # While all are watched: JAX would wait long for one that has died, and end this process.
        processes.barrier()
    watch.close()
    _shut_down(relay, status)
    return status


def _shut_down(relay: Relay | None, status: int) -> None:
    """Leave JAX's service, as all do now; where one has died since, end with the status of what is done."""
    import jax

    late = threading.Timer(_SHUTDOWN_SECONDS, end_process, [status])
    late.daemon = True
    late.start()
    if relay is not None:
        # JAX would end this process where the first one is killed now.
        relay.hold(lambda: None)
    jax.distributed.shutdown()
    late.cancel()
    if relay is not None:
        relay.close()


def _initialize(how: Distributed, seconds: float) -> Relay | None:
    """Bring the processes together; return the way to the first, ``None`` where this is it or JAX alone knows it."""
    import jax

    where = f"at {how.coordinator_address}" if how.coordinator_address else "where the cluster has put the first one"
    # JAX would end the process itself, with a list of C++ functions.
    missed = threading.Timer(seconds, _missed, [f"not all processes have come together {where} in {seconds:g} s"])
    missed.daemon = True
    if how.process_id == 0 and how.coordinator_address is not None:
        _check_port(how.coordinator_address)
    missed.start()
    relay = None
    try:
        with _interruptible(), _without_proxy():
            if how == Distributed():
                how = Distributed(*compat.cluster(os.environ.get("JAX_COORDINATOR_ADDRESS"), int(seconds)))
            if how.process_id and how.coordinator_address is not None:
                host, _, port = how.coordinator_address.rpartition(":")
                relay = Relay(host.strip("[]"), int(port))
                how = dataclasses.replace(how, coordinator_address=relay.address)
            # The watch looks for signs of life: JAX would end this process with its list.
            jax.distributed.initialize(
                **dataclasses.asdict(how),
                initialization_timeout=int(seconds) + 60,
                heartbeat_timeout_seconds=PATIENCE,
            )
    except (ValueError, RuntimeError) as error:
        if how == Distributed():
            raise UsageError(
                f"--distributed true: JAX has found no cluster around this process ({error}); "
                "give --coordinator_address HOST:PORT --num_processes N --process_id I"
            ) from error
        raise JaxnextError(f"the processes cannot be brought together {where} ({error})") from error
    finally:
        missed.cancel()
    return relay


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


@contextlib.contextmanager
def _without_proxy() -> Iterator[None]:
    """Within it gRPC reaches this machine without a proxy for the web, where one is set."""
    before = {name: os.environ.get(name) for name in _PROXIES}
    *proxies, without = before.values()
    if any(proxies):
        os.environ[_PROXIES[-1]] = ",".join(filter(None, (without or os.environ.get("no_proxy"), "127.0.0.1")))
    try:
        yield
    finally:
        if any(proxies) and without is None:
            del os.environ[_PROXIES[-1]]
        elif without is not None:
            os.environ[_PROXIES[-1]] = without


@contextlib.contextmanager
def _when_continued(watch: Watch) -> Iterator[None]:
    """Within it a process that was frozen is held, when it goes on, until it is sure of the others."""
    before = signal.signal(signal.SIGCONT, watch.hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGCONT, before)


def _missed(sentence: str) -> None:
    print(f"error: {sentence}; start all of them, with the same address and number", file=sys.stderr)
    end_process(1)


def _lost(error: Exception, named: str) -> str:
    reason = str(error).partition("\n")[0]
    reason = reason if len(reason) <= 300 else f"{reason[:300]} ..."
    who = f"{named}; start" if named else "where one of them has ended, start"
    return f"the computation with the other processes has failed ({reason}); {who} all again with --resume auto"
