"""Image files out of a request's body, in memory: nothing that is sent touches a disk."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import NamedTuple, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request

from jaxnext.inference.serving.limits import Limits
from jaxnext.inference.serving.refusal import Refusal

FIELD = "files"
"""Of a form, with the images."""
_LONGEST_NAME = 255
_FORGETTING_SECONDS = 2.0
"""For which the rest of what is sent is read and forgotten: many clients send first and read their answer then."""


class Upload(NamedTuple):
    """One image file as it was sent."""

    name: str
    data: bytes


class _Body(Protocol):
    def write(self, chunk: bytes) -> None: ...

    def files(self) -> list[Upload]: ...


class Incoming:
    """The body of a request, as it arrives."""

    def __init__(self, request: Request) -> None:
        """Take the body of a request of which nothing was read yet."""
        self.headers = request.headers
        self._receive = request.receive
        self._ended = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield its parts.

        Raises:
            ClientDisconnect: whoever has sent it is gone.
        """
        while not self._ended:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            self._ended = not message.get("more_body", False)
            yield message.get("body", b"")

    async def forget(self, refusal: Refusal) -> None:
        """Read and forget what is left of it, for a while; after that the connection takes no other request.

        Args:
            refusal: that answers it.

        Raises:
            ClientDisconnect: whoever has sent it is gone.
        """
        # Who waits to be told to send (Expect: 100-continue) would be told so by the first reading.
        if refusal.status != 408 and "expect" not in self.headers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FORGETTING_SECONDS):
                    async for _ in self.chunks():
                        pass
        if not self._ended:
            refusal.headers["connection"] = "close"


async def read_uploads(incoming: Incoming, limits: Limits, take: Callable[[int], None]) -> list[Upload]:
    """Return the files of a request: those of a form's field ``files``, or the body itself where it is an image.

    Args:
        incoming: the body.
        limits: of its bytes, files and seconds.
        take: told how many bytes are about to be kept; may refuse them.

    Raises:
        Refusal: too many bytes (413), files (413) or seconds (408), another type (415), or no such form (422).
        ClientDisconnect: whoever has sent it is gone.
    """
    body = _body(incoming.headers, limits)
    declared = incoming.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.max_bytes:
        raise _too_large(limits)
    count = 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in incoming.chunks():
                count += len(chunk)
                if count > limits.max_bytes:
                    raise _too_large(limits)
                take(len(chunk))
                body.write(chunk)
    except TimeoutError as error:
        raise Refusal(408, f"the request has not arrived within {limits.body_seconds:g} seconds") from error
    files = body.files()
    if not files:
        raise Refusal(422, f"expected one or more images in the field {FIELD}, found none")
    return files


def _body(headers: Headers, limits: Limits) -> _Body:
    kind, options = parse_options_header(headers.get("content-type"))
    if kind == b"multipart/form-data":
        if b"boundary" not in options:
            raise Refusal(422, "multipart/form-data: expected a boundary, found none")
        return _Form(options[b"boundary"], limits)
    if kind.startswith(b"image/"):
        return _Whole()
    found = kind.decode("latin-1") or "none"
    raise Refusal(415, f"expected the content type multipart/form-data or image/..., found {found[:100]}")


def _too_large(limits: Limits) -> Refusal:
    return Refusal(413, f"expected a request of at most {limits.max_bytes:,} bytes, found a larger one")


class _Whole:
    """A body that is one image."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, chunk: bytes) -> None:
        self._data += chunk

    def files(self) -> list[Upload]:
        return [Upload("image", bytes(self._data))]


class _Form:
    """A body of several parts, each a file."""

    def __init__(self, boundary: bytes, limits: Limits) -> None:
        self._limits = limits
        self._files: list[Upload] = []
        self._header, self._value = bytearray(), bytearray()
        self._disposition = b""
        self._name, self._data = "", bytearray()
        self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": lambda data, start, end: self._data.extend(data[start:end]),
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _not_a_form() from error

    def write(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _not_a_form() from error

    def files(self) -> list[Upload]:
        if not self._ended:
            raise _not_a_form()
        return self._files

    def _begin(self) -> None:
        if len(self._files) == self._limits.max_files:
            raise Refusal(413, f"expected at most {self._limits.max_files} images in a request, found more")
        self._disposition, self._data = b"", bytearray()

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header, self._value = bytearray(), bytearray()

    def _end_headers(self) -> None:
        options: Mapping[bytes, bytes] = parse_options_header(self._disposition)[1]
        field = options.get(b"name", b"").decode(errors="replace")
        if field != FIELD:
            raise Refusal(422, f"expected images in the field {FIELD}, found the field {field[:_LONGEST_NAME]!r}")
        self._name = options.get(b"filename", b"").decode(errors="replace")[:_LONGEST_NAME] or "image"

    def _end_part(self) -> None:
        self._files.append(Upload(self._name, bytes(self._data)))
        self._data = bytearray()

    def _end(self) -> None:
        self._ended = True


def _not_a_form() -> Refusal:
    return Refusal(422, "expected a whole body of the type multipart/form-data, found one that is cut short or broken")
