import contextlib
import http.client
import json
import socket
import threading
import time
from typing import Any

import numpy as np
import pytest
from asgi import FakeNet, form, png, service

from jaxnext.errors import JaxnextError
from jaxnext.inference.serving.application import application
from jaxnext.inference.serving.guard import hosts_of
from jaxnext.inference.serving.server import address_of, bind, serve


def test_a_port_in_use() -> None:
    with bind("127.0.0.1", 0) as bound:
        bound.listen()
        port = bound.getsockname()[1]
        assert address_of(bound) == f"http://127.0.0.1:{port}/"
        with pytest.raises(JaxnextError) as error:
            bind("127.0.0.1", port)
    assert str(error.value) == (
        f"--host 127.0.0.1 --port {port}: the address cannot be opened (Address already in use)"
    )
    # It can be had again at once.
    bind("127.0.0.1", port).close()


def test_a_host_that_is_none() -> None:
    with pytest.raises(JaxnextError, match=r"^--host 192\.0\.2\.1 --port 0: the address cannot be opened \("):
        bind("192.0.2.1", 0)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_an_address_of_ipv6() -> None:
    try:
        with bind("::1", 0) as bound:
            assert address_of(bound) == f"http://[::1]:{bound.getsockname()[1]}/"
    except JaxnextError:
        pytest.skip("this machine has no IPv6")


class Slow(FakeNet):
    """Computes once it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = threading.Event(), threading.Event()

    def probabilities(self, images: np.ndarray, batch_size: int) -> np.ndarray:
        self.begun.set()
        assert self.go.wait(10)
        return super().probabilities(images, batch_size)


def test_what_was_asked_is_answered_before_the_end(caplog: pytest.LogCaptureFixture) -> None:
    net, stop, ready = Slow(), threading.Event(), threading.Event()
    served = service(net)
    served.is_warm = True
    bound = bind("127.0.0.1", 0)
    port = bound.getsockname()[1]
    app = application(served, "a run", hosts_of("127.0.0.1", None))
    server = threading.Thread(target=serve, args=(app, served, bound, stop.is_set, 10.0, ready.set))
    server.start()
    assert ready.wait(10)

    def asked(method: str, path: str, body: bytes | None = None, headers: Any = None) -> tuple[int, Any]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    found: list[Any] = []
    body, headers = form(("a.png", png("lime")))
    client = threading.Thread(target=lambda: found.append(asked("POST", "/predict", body, headers)))
    client.start()
    assert net.begun.wait(10)
    assert asked("GET", "/healthz") == (200, {"status": "ok"})
    assert asked("POST", "/predict", b"no form", headers)[0] == 422
    # What anybody may send as often as they like fills no log.
    assert caplog.records == []
    stop.set()
    latest = time.monotonic() + 10
    while not served.stopping and time.monotonic() < latest:
        time.sleep(0.02)
    assert asked("GET", "/healthz") == (503, {"status": "stopping"})
    assert asked("POST", "/predict", body, headers)[0] == 503
    net.go.set()
    client.join(10)
    server.join(10)
    assert not server.is_alive()
    status, answer = found[0]
    assert (status, answer["results"][0]["label"]) == (200, "green")
    with pytest.raises(ConnectionRefusedError):
        asked("GET", "/healthz")


def test_a_connection_that_says_nothing_is_closed() -> None:
    stop, ready = threading.Event(), threading.Event()
    served = service(body_seconds=0.15)
    served.is_warm = True
    bound = bind("127.0.0.1", 0)
    address = bound.getsockname()
    app = application(served, "a run", hosts_of("127.0.0.1", None))
    server = threading.Thread(target=serve, args=(app, served, bound, stop.is_set, 0.1, ready.set))
    server.start()
    assert ready.wait(10)
    try:
        whole, half = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /healthz HTTP/1.1\r\nHo"
        sent = (b"", half, whole, whole + half)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(socket.create_connection(address, timeout=5)) for _ in sent]
            for client, data in zip(clients, sent, strict=True):
                client.sendall(data)
            found = [b"".join(iter(lambda: client.recv(4096), b"")) for client in clients]  # noqa: B023
        assert [text.partition(b"\r\n")[0] for text in found] == [b"", b"", b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK"]
    finally:
        stop.set()
        server.join(10)


def test_a_request_that_never_ends_does_not_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jaxnext.inference.serving.server._CLOSING_SECONDS", 0.1)
    stop, ready = threading.Event(), threading.Event()
    served = service()
    bound = bind("127.0.0.1", 0)
    address = bound.getsockname()
    app = application(served, "a run", hosts_of("127.0.0.1", None))
    server = threading.Thread(target=serve, args=(app, served, bound, stop.is_set, 0.1, ready.set))
    server.start()
    assert ready.wait(10)
    with socket.create_connection(address) as client:
        client.sendall(
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 9\r\n\r\n"
        )
        latest = time.monotonic() + 10
        while not served.in_flight and time.monotonic() < latest:
            time.sleep(0.02)
        stop.set()
        server.join(10)
    assert not server.is_alive()
