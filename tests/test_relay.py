import socket
import threading
from typing import Any

import pytest

from jaxnext.cli.relay import Relay


@pytest.fixture
def service() -> Any:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server


def connected(relay: Relay, service: socket.socket) -> tuple[socket.socket, socket.socket]:
    host, _, port = relay.address.partition(":")
    near = socket.create_connection((host, int(port)), timeout=10)
    far, _ = service.accept()
    far.settimeout(10)
    return near, far


def test_both_ways_then_the_end_of_the_other_side_is_reported_and_not_known_here(service: socket.socket) -> None:
    lost = threading.Event()
    relay = Relay("localhost", service.getsockname()[1])
    near, far = connected(relay, service)
    near.sendall(b"question")
    assert far.recv(100) == b"question"
    far.sendall(b"answer" * 20000)
    got = b""
    while len(got) < 120000:
        got += near.recv(2**16)
    assert got == b"answer" * 20000
    relay.hold(lost.set)
    assert not lost.is_set()
    far.close()
    assert lost.wait(10)
    near.settimeout(0.1)
    with pytest.raises(TimeoutError):
        near.recv(1)
    near.close()
    relay.close()


def test_the_end_of_this_side_is_none_of_the_other(service: socket.socket) -> None:
    lost = threading.Event()
    relay = Relay("127.0.0.1", service.getsockname()[1])
    near, far = connected(relay, service)
    far.sendall(b"hello")
    assert near.recv(10) == b"hello"
    relay.hold(lost.set)
    near.close()
    assert far.recv(10) == b""
    far.close()
    assert not lost.wait(0.1)
    relay.close()


@pytest.mark.parametrize("answers", [b"", b"hello"])
def test_before_it_holds_and_where_nobody_answered_the_end_is_passed_on(answers: bytes, service: socket.socket) -> None:
    lost = threading.Event()
    relay = Relay("127.0.0.1", service.getsockname()[1])
    near, far = connected(relay, service)
    if answers:
        far.sendall(answers)
        assert near.recv(10) == answers
    else:
        relay.hold(lost.set)
    far.close()
    assert near.recv(10) == b""
    assert not lost.is_set()
    near.close()
    relay.close()


def test_where_nobody_listens_yet_it_is_tried_again(service: socket.socket) -> None:
    port = service.getsockname()[1]
    service.close()
    relay = Relay("127.0.0.1", port)
    host, _, near_port = relay.address.partition(":")
    with socket.create_connection((host, int(near_port)), timeout=10) as near:
        assert near.recv(10) == b""
    relay.close()
