"""Requests to an ASGI application in this process, without a socket, and a net that needs no weights."""

import asyncio
import contextlib
import io
import json
import struct
import zlib
from collections.abc import AsyncIterator, Iterable
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from jaxnext.data.pixels import Pixels
from jaxnext.inference.serving.application import application
from jaxnext.inference.serving.guard import hosts_of
from jaxnext.inference.serving.limits import Limits
from jaxnext.inference.serving.service import Service

BOUNDARY = "limit"


class FakeNet:
    """Says how red, green and blue an image is; remembers the batches that it was given."""

    classes: tuple[str, ...] = ("red", "green", "<b>blue")
    pixels = Pixels((8, 8))

    def __init__(self) -> None:
        self.batches: list[tuple[int, int]] = []

    def probabilities(self, images: np.ndarray, batch_size: int) -> np.ndarray:
        self.batches.append((len(images), batch_size))
        sums = images.astype(np.float64).sum((1, 2)) + 1
        return sums / sums.sum(1, keepdims=True)

    def maps(self, images: np.ndarray, classes: np.ndarray, method: str, batch_size: int) -> np.ndarray:
        return np.full(images.shape[:3], 0.5, np.float32)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def service(net: Any = None, threshold: float | None = None, wait: float = 0.0, **limits: Any) -> Service:
    return Service(
        net or FakeNet(),
        Limits(**limits),
        batch_size=4,
        wait_seconds=wait,
        decoding_threads=2,
        threshold=threshold,
    )


@contextlib.asynccontextmanager
async def running(served: Service, hosts: Iterable[str] = ()) -> AsyncIterator[Any]:
    """The application of a service, between its start and its end."""
    app = application(served, "a run", hosts_of("127.0.0.1", hosts))
    async with served.running():
        yield app


async def ask(
    app: Any,
    path: str,
    *chunks: bytes,
    method: str = "",
    headers: dict[str, str] | None = None,
    query: str = "",
    address: str = "127.0.0.1",
    ends: bool = True,
    is_gone: bool = False,
) -> Answer:
    """One request, its body in these chunks; the body never ends where ``ends`` is false."""
    given = {"host": "127.0.0.1:8000"} | (headers or {})
    left = [
        {"type": "http.request", "body": chunk, "more_body": not ends or place + 1 < len(chunks)}
        for place, chunk in enumerate(chunks or (b"",))
    ]
    if is_gone:
        left.append({"type": "http.disconnect"})
    sent: list[Any] = []

    async def receive() -> Any:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method or ("POST" if chunks else "GET"),
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "client": (address, 1),
        "server": ("127.0.0.1", 8000),
    }
    await app(scope, receive, send)
    start = next(message for message in sent if message["type"] == "http.response.start")
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    body = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    return Answer(start["status"], found, body)


def form(*files: tuple[str, bytes], field: str = "files") -> tuple[bytes, dict[str, str]]:
    """The body of a form with these files, and its header."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode()
        + data
        + b"\r\n"
        for name, data in files
    ]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode(), FORM


FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


def png(colour: str = "red", size: tuple[int, int] = (10, 10)) -> bytes:
    """A file of one colour."""
    return image_file(Image.new("RGB", size, colour), "PNG")


def png_header(width: int, height: int) -> bytes:
    """A PNG that says to be so large, and has nothing of it."""
    start = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = struct.pack(">I4sI", 0, b"IDAT", zlib.crc32(b"IDAT"))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + start + struct.pack(">I", zlib.crc32(start)) + data


def image_file(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
