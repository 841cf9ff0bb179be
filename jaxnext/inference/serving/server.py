"""The server's socket, and its life from the first request to a clean end."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from jaxnext.errors import JaxnextError
from jaxnext.inference.serving.service import Service

_MOST_CONNECTIONS = 500
"""At a time; further ones are answered 503 by uvicorn."""
_CLOSING_SECONDS = 2
"""For which connections may take to end, once nothing is computed for them any more."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address, which takes no connections yet.

    Args:
        host: name or address.
        port: 0: any that is free.

    Raises:
        JaxnextError: it is in use, or none of this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with contextlib.ExitStack() as unless_bound:
            bound = unless_bound.enter_context(socket.socket(family, kind, protocol))
            # Else the port cannot be had again for a minute after a server has ended.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            unless_bound.pop_all()
    except (OSError, UnicodeError) as error:
        raise _not_opened(host, port, error) from error
    return bound


def address_of(bound: socket.socket) -> str:
    """Return the address of a bound socket, as a browser takes it."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def serve(
    app: ASGIApp,
    service: Service,
    bound: socket.socket,
    stop: Callable[[], bool],
    stop_seconds: float,
    ready: Callable[[], None],
) -> None:
    """Answer requests until it is asked to stop; then refuse new ones, and finish those that are there.

    Args:
        app: that answers.
        service: whose requests are waited for.
        bound: from ``bind``; closed at the end.
        stop: whether to stop; asked ten times a second.
        stop_seconds: for which requests that are there are waited for.
        ready: called once connections are taken.

    Raises:
        JaxnextError: another process has taken the address meanwhile.
    """
    try:
        bound.listen()
    except OSError as error:
        host, port = bound.getsockname()[:2]
        raise _not_opened(host, port, error) from error
    # It warns of every broken form, which anybody may send as often as they like.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        log_level="error",
        # Anybody could say to be somebody else.
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=_CLOSING_SECONDS,
    )
    asyncio.run(_Server(config, service, stop, stop_seconds, ready).serve([bound]))


def _not_opened(host: str, port: int, error: Exception) -> JaxnextError:
    reason = getattr(error, "strerror", None) or str(error)
    return JaxnextError(f"--host {host} --port {port}: the address cannot be opened ({reason})")


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        service: Service,
        stop: Callable[[], bool],
        stop_seconds: float,
        ready: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._service, self._stop, self._stop_seconds, self._ready = service, stop, stop_seconds, ready
        self._latest = 0.0
        self._silent: dict[Any, tuple[Any, float]] = {}

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def on_tick(self, counter: int) -> bool:
        """Begin to stop where that is asked for, and end once nothing is left to be answered."""
        now = asyncio.get_running_loop().time()
        self._close_silent(now)
        if self._stop() and not self._service.stopping:
            self._service.stopping, self._latest = True, now + self._stop_seconds
        if self._service.stopping and (self._service.in_flight == 0 or now > self._latest):
            self.should_exit = True
        return await super().on_tick(counter)

    def _close_silent(self, now: float) -> None:
        """Close connections whose next request has not begun for too long, or arrives letter by letter."""
        seen = {connection: getattr(connection, "cycle", None) for connection in self.server_state.connections}
        silent = {connection: last for connection, last in seen.items() if last is None or last.response_complete}
        before = self._silent
        self._silent = {
            connection: before[connection] if connection in before and before[connection][0] is last else (last, now)
            for connection, last in silent.items()
        }
        for connection, (_, since) in self._silent.items():
            if now - since > self._service.limits.body_seconds:
                connection.shutdown()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the command, which says what they mean."""
        yield
