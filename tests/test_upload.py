import asyncio
import tempfile
from collections.abc import Sequence
from typing import Any

import pytest
from asgi import BOUNDARY, FORM, form
from starlette.requests import ClientDisconnect, Request

from jaxnext.inference.serving import upload
from jaxnext.inference.serving.limits import Limits
from jaxnext.inference.serving.refusal import Refusal
from jaxnext.inference.serving.upload import Incoming, Upload, read_uploads

LIMITS = Limits(max_bytes=3_000_000, max_files=3, body_seconds=0.05)


def incoming(chunks: Sequence[bytes], headers: dict[str, str], last: str = "ends") -> Incoming:
    """A body in chunks, which ``ends``, never ends (``waits``), or whose sender is ``gone``."""
    left: list[Any] = [
        {"type": "http.request", "body": chunk, "more_body": last != "ends" or place + 1 < len(chunks)}
        for place, chunk in enumerate(chunks)
    ]
    if last == "gone":
        left.append({"type": "http.disconnect"})

    async def receive() -> Any:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Incoming(Request({"type": "http", "headers": raw}, receive))


def read(chunks: Sequence[bytes], headers: dict[str, str], last: str = "ends") -> tuple[list[Upload], int]:
    taken = []
    found = asyncio.run(read_uploads(incoming(chunks, headers, last), LIMITS, taken.append))
    return found, sum(taken)


def refusal(chunks: Sequence[bytes], headers: dict[str, str], last: str = "ends") -> tuple[int, str]:
    with pytest.raises(Refusal) as error:
        read(chunks, headers, last)
    return error.value.status, str(error.value)


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_form_in_pieces_of_any_size(size: int) -> None:
    data = bytes(range(256)) + b"\r\n--" + BOUNDARY.encode()[:-1] + b"\r\n"
    body, headers = form(("ä <b>.jpg", data), ("../../etc/passwd", b""), ("x" * 300, b"1"))
    found, taken = read([body[i : i + size] for i in range(0, len(body), size)], headers)
    assert found == [Upload("ä <b>.jpg", data), Upload("../../etc/passwd", b""), Upload("x" * 255, b"1")]
    assert taken == len(body)


def test_nothing_is_written_to_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a temporary file")

    for name in ("SpooledTemporaryFile", "TemporaryFile", "NamedTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    body, headers = form(("a", bytes(2_000_000)))
    (found,), _ = read([body], headers)
    assert len(found.data) == 2_000_000


def test_a_body_that_is_an_image() -> None:
    assert read([b"ab", b"c"], {"content-type": "image/jpeg"}) == ([Upload("image", b"abc")], 3)


def test_names_that_are_not_utf8() -> None:
    body, headers = form(("NAME", b"1"))
    assert read([body.replace(b"NAME", b"\xff.jpg")], headers)[0] == [Upload("�.jpg", b"1")]


def test_what_is_no_form_of_images() -> None:
    body, headers = form(("a", b"1"))
    broken = "expected a whole body of the type multipart/form-data, found one that is cut short or broken"
    assert refusal([body[:-10]], headers) == (422, broken)
    assert refusal([b"nothing"], FORM) == (422, broken)
    assert refusal([body], {"content-type": f"multipart/form-data; boundary={'x' * 1000}"}) == (422, broken)
    assert refusal([b""], {"content-type": "multipart/form-data"})[1].endswith("expected a boundary, found none")
    assert refusal([form()[0]], FORM) == (422, "expected one or more images in the field files, found none")
    assert refusal([form(("a", b"1"), field="other")[0]], FORM)[1].endswith("found the field 'other'")
    types = "expected the content type multipart/form-data or image/..., found "
    assert refusal([b"{}"], {"content-type": "application/json; charset=x"}) == (415, f"{types}application/json")
    assert refusal([b"{}"], {}) == (415, f"{types}none")


def test_too_much() -> None:
    files = [("a", b"1")] * 4
    assert refusal([form(*files)[0]], FORM) == (413, "expected at most 3 images in a request, found more")
    large = (413, "expected a request of at most 3,000,000 bytes, found a larger one")
    kind = {"content-type": "image/png"}
    assert refusal([b"", b"ends here"], kind | {"content-length": "3000001"}) == large
    # As it is read, whatever it said.
    assert refusal([bytes(2_000_000)] * 2, kind) == large
    assert refusal([bytes(2_000_000)] * 2, kind | {"content-length": "5"}) == large


def test_a_slow_body() -> None:
    assert refusal([b"a"], {"content-type": "image/png"}, "waits") == (
        408,
        "the request has not arrived within 0.05 seconds",
    )


def test_who_sends_is_gone() -> None:
    with pytest.raises(ClientDisconnect):
        read([b"a"], {"content-type": "image/png"}, "gone")


@pytest.mark.parametrize(
    ("last", "status", "headers", "closes"),
    [
        ("ends", 413, {}, False),
        ("waits", 413, {}, True),
        ("ends", 408, {}, True),
        ("ends", 413, {"expect": "100-continue"}, True),
    ],
)
def test_the_rest_is_read_and_forgotten(
    last: str, status: int, headers: dict[str, str], closes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "_FORGETTING_SECONDS", 0.02)
    error = Refusal(status, "no")
    asyncio.run(incoming([b"a", b"b"], headers, last).forget(error))
    assert error.headers == ({"connection": "close"} if closes else {})
