"""Requests that are refused: a status and one sentence, as JSON."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

_SENTENCES = {404: "there is nothing at this address", 405: "this address does not take such a request"}


class Refusal(Exception):
    """A request that is not answered with what it asked for. The message is one sentence for whoever asked."""

    def __init__(self, status: int, sentence: str, retry_after: int | None = None) -> None:
        """Make one.

        Args:
            status: of HTTP.
            sentence: that says why.
            retry_after: seconds after which it may be sent again.
        """
        super().__init__(sentence)
        self.status = status
        self.headers: dict[str, str] = {}
        if retry_after is not None:
            self.headers["retry-after"] = str(retry_after)

    def response(self) -> Response:
        """Return the answer."""
        return error_response(self.status, str(self), self.headers)


def error_response(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    """Return an answer that is one sentence."""
    return JSONResponse({"error": sentence}, status, headers)


async def refused(request: Request, error: Exception) -> Response:
    """Answer a request that was refused here, or by Starlette."""
    if isinstance(error, Refusal):
        return error.response()
    assert isinstance(error, HTTPException)
    sentence = _SENTENCES.get(error.status_code, error.detail)
    return error_response(error.status_code, f"{request.url.path}: {sentence}", dict(error.headers or {}))


async def failed(request: Request, error: Exception) -> Response:
    """Answer a request that has met a defect of the program; its traceback goes to the terminal."""
    return error_response(500, "the server has failed at this request, through no fault of the image")
