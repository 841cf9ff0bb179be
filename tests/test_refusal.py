import asyncio
import json

from starlette.exceptions import HTTPException
from starlette.requests import Request

from jaxnext.inference.serving.refusal import Refusal, failed, refused

REQUEST = Request({"type": "http", "path": "/there", "headers": [], "query_string": b"", "server": ("a", 1)})


def test_a_refusal_is_a_status_and_a_sentence() -> None:
    response = asyncio.run(refused(REQUEST, Refusal(429, "too <often>", retry_after=3)))
    assert (response.status_code, response.headers["retry-after"]) == (429, "3")
    assert json.loads(response.body) == {"error": "too <often>"}
    assert response.media_type == "application/json"


def test_what_starlette_refuses_is_the_same() -> None:
    for status, sentence in (
        (404, "/there: there is nothing at this address"),
        (405, "/there: this address does not take such a request"),
        (400, "/there: Bad Request"),
    ):
        response = asyncio.run(refused(REQUEST, HTTPException(status, headers={"allow": "GET"})))
        assert (response.status_code, json.loads(response.body)) == (status, {"error": sentence})
        assert response.headers["allow"] == "GET"


def test_a_defect_says_nothing_of_itself() -> None:
    response = asyncio.run(failed(REQUEST, ValueError("secret")))
    assert (response.status_code, b"secret" in response.body) == (500, False)
