"""Downloads against a server in this process: with and without ranges, broken off, wrong, and not there."""

import hashlib
import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaxnext.errors import JaxnextError, UsageError
from jaxnext.porting import pretrained
from jaxnext.porting.named import Named
from jaxnext.porting.pretrained import fetch

CONTENT = bytes(range(256)) * 400
FILE = f"tiny-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth"


class Server(http.server.ThreadingHTTPServer):
    """Serves ``content``; the switches say how it misbehaves."""

    content = CONTENT
    ranges = True
    break_after: int | None = None
    status = 200
    silent = False
    wrong_range = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requested: list[str | None] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/models/"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        server.requested.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
        if server.silent:
            server.released.wait(10)
        if server.status != 200 or self.path != f"/models/{FILE}":
            self.send_error(server.status if server.status != 200 else 404)
        elif start >= len(server.content):
            self.send_error(416)
        else:
            self._send(server.content[start:], start)

    def _send(self, rest: bytes, start: int) -> None:
        self.send_response(206 if start else 200)
        if start:
            first = 0 if self.server.wrong_range else start
            self.send_header(
                "Content-Range", f"bytes {first}-{len(self.server.content) - 1}/{len(self.server.content)}"
            )
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: self.server.break_after])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setitem(pretrained.WEIGHTS, "tiny", Named(f"http://127.0.0.1:9/elsewhere/{FILE}", "tiny"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.released.set()
        running.shutdown()
        thread.join()


def get(server: Server, folder: Path, **options: float) -> Path:
    return fetch("tiny", folder, base_url=server.url, progress=False, **{"timeout": 5.0, **options})


def refusal(server: Server, folder: Path, **options: float) -> str:
    with pytest.raises(JaxnextError) as caught:
        get(server, folder, **options)
    return str(caught.value)


def by_hand(server: Server, folder: Path) -> str:
    return f"download {server.url}{FILE} by hand and put it at {folder / FILE}"


def test_a_file_comes_from_its_own_address(server, monkeypatch, tmp_path):
    monkeypatch.setitem(pretrained.WEIGHTS, "tiny", Named(f"{server.url}{FILE}", "tiny"))
    assert fetch("tiny", tmp_path, progress=False, timeout=5.0) == tmp_path / FILE
    assert (tmp_path / FILE).read_bytes() == CONTENT


def test_a_download_is_cached(server, tmp_path):
    folder = tmp_path / "new" / "cache"
    assert get(server, folder) == folder / FILE
    assert (folder / FILE).read_bytes() == CONTENT
    assert get(server, folder) == folder / FILE
    assert server.requested == [None]
    assert [path.name for path in folder.iterdir()] == [FILE]


def test_a_broken_download_goes_on(server, tmp_path):
    server.break_after = 40_000
    message = refusal(server, tmp_path)
    assert "broke off after 40,000 of 102,400 bytes" in message
    assert by_hand(server, tmp_path) in message
    assert "run the command again to go on from there" in message
    assert (tmp_path / f"{FILE}.part").stat().st_size == 40_000
    server.break_after = None
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.requested == [None, "bytes=40000-"]
    assert not (tmp_path / f"{FILE}.part").exists()


def test_a_resumed_download_may_break_off_again(server, tmp_path):
    server.break_after = 40_000
    refusal(server, tmp_path)
    assert "broke off after 80,000 of 102,400 bytes" in refusal(server, tmp_path)
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.requested == [None, "bytes=40000-", "bytes=80000-"]


def test_a_server_without_ranges_sends_all_again(server, tmp_path):
    (tmp_path / f"{FILE}.part").write_bytes(b"something else that is here already")
    server.ranges = False
    assert get(server, tmp_path).read_bytes() == CONTENT


def test_a_complete_part_is_verified_without_more_bytes(server, tmp_path):
    (tmp_path / f"{FILE}.part").write_bytes(CONTENT)
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.requested == [f"bytes={len(CONTENT)}-"]


def test_a_part_that_is_too_long_is_removed(server, tmp_path):
    (tmp_path / f"{FILE}.part").write_bytes(CONTENT + b"more")
    assert "removed" in refusal(server, tmp_path)
    assert get(server, tmp_path).read_bytes() == CONTENT


def test_another_range_than_asked_for(server, tmp_path):
    (tmp_path / f"{FILE}.part").write_bytes(CONTENT[:10])
    server.wrong_range = True
    assert "sent another part of the file" in refusal(server, tmp_path)
    assert (tmp_path / f"{FILE}.part").read_bytes() == CONTENT[:10]


def test_a_wrong_digest_removes_the_file(server, tmp_path):
    server.content = b"not the weights"
    message = refusal(server, tmp_path)
    assert f"begins with {FILE[5:13]}, found {hashlib.sha256(b'not the weights').hexdigest()}" in message
    assert list(tmp_path.iterdir()) == []


def test_a_cached_file_is_verified(server, tmp_path):
    (tmp_path / FILE).write_bytes(CONTENT[:-1])
    assert str(tmp_path / FILE) in refusal(server, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert server.requested == []


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_a_refusing_server(server, tmp_path, status):
    server.status = status
    message = refusal(server, tmp_path)
    assert f"the server answered {status}" in message
    assert by_hand(server, tmp_path) in message


def test_a_silent_server(server, tmp_path):
    server.silent = True
    message = refusal(server, tmp_path, timeout=0.1)
    assert "timed out" in message
    assert by_hand(server, tmp_path) in message


def test_no_network(server, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    with pytest.raises(JaxnextError) as caught:
        fetch("tiny", tmp_path, base_url=url, progress=False)
    assert "refused" in str(caught.value)
    assert f"download {url}{FILE} by hand and put it at {tmp_path / FILE}" in str(caught.value)


def test_an_unknown_name_gives_the_nearest(tmp_path):
    with pytest.raises(UsageError) as caught:
        fetch("imagenet1k_v3", tmp_path)
    assert "unknown weights 'imagenet1k_v3': did you mean imagenet1k_v" in str(caught.value)
    assert "The names are resnet18_imagenet1k_v1, " in str(caught.value)
    assert ", imagenet1k_v1, imagenet1k_v2" in str(caught.value)
    with pytest.raises(UsageError, match="did you mean imagenet1k_v1"):
        fetch("ImageNet1k_v1", tmp_path)


def test_a_cache_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert "cannot be read or written" in refusal(server, tmp_path / "file" / "cache")


def test_the_progress_bar_counts_bytes(server, tmp_path, capsys):
    fetch("tiny", tmp_path, base_url=server.url, progress=True)
    assert FILE in capsys.readouterr().err
