"""The way to the coordination service of another process: where that process ends, it is said, not crashed over.

JAX's client ends its own process, with a list of C++ functions, as soon as the connection breaks, and takes no callback
in Python: jaxlib 0.10 cannot hand it the status (``std::bad_cast``). So the client connects to a port of this process,
and what it sends and gets goes through here. A connection that breaks at the other end stays open at this one.
"""

import contextlib
import socket
import threading
from collections.abc import Callable

_BYTES = 2**16


class Relay:
    """Passes what comes to a port of this machine on to an address, and back."""

    def __init__(self, host: str, port: int) -> None:
        """Begin to listen; at first a broken connection is closed here, too, and may be made anew.

        Args:
            host: where the connections go.
            port: there.
        """
        self._to: tuple[str, int] = (host, port)
        self._lost: Callable[[], None] | None = None
        self._held: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        _start(self._accept)

    def hold(self, lost: Callable[[], None]) -> None:
        """From now on call ``lost`` where a connection is broken at the other end, which is not known here."""
        self._lost = lost

    def close(self) -> None:
        """From now on let connections end, and take no further ones."""
        self._lost = None
        for each in (self._server, *self._held):
            _close(each)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            _start(lambda near=near: self._connect(near))

    def _connect(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(self._to)
        except OSError:
            # Not there yet: JAX tries again.
            near.close()
            return
        for each in (near, far):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ended_here = threading.Event()
        _start(lambda: _send(near, far, ended_here))
        self._receive(far, near, ended_here)

    def _receive(self, far: socket.socket, near: socket.socket, ended_here: threading.Event) -> None:
        answered = False
        with contextlib.suppress(OSError):
            while data := far.recv(_BYTES):
                answered = True
                near.sendall(data)
        # One that never answered was not the service: process 0 tries whether the port is free.
        if (lost := self._lost) is not None and answered and not ended_here.is_set():
            # Without a reference they would be closed.
            self._held += [near, far]
            lost()
            return
        for each in (near, far):
            _close(each)


def _send(near: socket.socket, far: socket.socket, ended_here: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while data := near.recv(_BYTES):
            far.sendall(data)
        ended_here.set()
        far.shutdown(socket.SHUT_WR)


def _close(end: socket.socket) -> None:
    """Close a socket; without its shutdown a thread that waits in it would hold it open."""
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


def _start(target: Callable[[], None]) -> None:
    threading.Thread(target=target, name="relay", daemon=True).start()
