"""The addresses of the server, as an ASGI application."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import get_args

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from jaxnext.inference.explain import Method
from jaxnext.inference.serving.drop_page import drop_page
from jaxnext.inference.serving.guard import Guard
from jaxnext.inference.serving.openapi import openapi
from jaxnext.inference.serving.rate_limit import RateLimit
from jaxnext.inference.serving.refusal import Refusal, failed, refused
from jaxnext.inference.serving.service import Service, Wanted
from jaxnext.inference.serving.upload import Incoming, read_uploads

_STOPPING = "the server is about to stop"


def application(service: Service, title: str, is_host: Callable[[str], bool]) -> ASGIApp:
    """Return the application, which runs the service as long as it lives.

    Args:
        service: that answers.
        title: name of what is served.
        is_host: whether a name is one of the server's; see ``hosts_of``.
    """
    page = drop_page(title, service)
    description = openapi(title, len(service.net.classes), service.default_top_k, service.methods)
    rate = RateLimit(service.limits.rate)

    async def show_page(request: Request) -> Response:
        return Response(page.html, media_type="text/html", headers={"content-security-policy": page.policy})

    async def describe(request: Request) -> Response:
        return JSONResponse(description)

    async def no_icon(request: Request) -> Response:
        return Response(status_code=204)

    async def predict(request: Request) -> Response:
        incoming = Incoming(request)
        try:
            return await predicted(request, incoming)
        except Refusal as error:
            await incoming.forget(error)
            raise

    async def predicted(request: Request, incoming: Incoming) -> Response:
        if service.stopping:
            raise Refusal(503, _STOPPING, retry_after=5)
        address = request.client.host if request.client else ""
        wait = rate.wait(address, asyncio.get_running_loop().time())
        if wait is not None:
            raise Refusal(429, "too many requests from one address; send it again a little later", wait)
        wanted = _wanted(request, service)
        with service.memory() as memory:
            uploads = await read_uploads(incoming, service.limits, memory.take)
            results = await service.answers(uploads, wanted, memory)
        bad = [result for result in results if "error" in result]
        if len(bad) == len(results):
            status = 413 if all(result["status"] == 413 for result in bad) else 422
            return JSONResponse({"error": bad[0]["error"], "results": results}, status)
        return JSONResponse({"results": results})

    async def gone(request: Request, error: Exception) -> Response:
        # Nobody reads it.
        return Response(status_code=400)

    async def health(request: Request) -> Response:
        status = "stopping" if service.stopping else "ok" if service.is_warm else "warming"
        return JSONResponse({"status": status}, 200 if status == "ok" else 503)

    async def metrics(request: Request) -> Response:
        return Response(service.counters.text(), headers={"content-type": service.counters.CONTENT_TYPE})

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with service.running():
            yield

    routes = [
        Route("/", show_page),
        Route("/predict", predict, methods=["POST"]),
        Route("/healthz", health),
        Route("/metrics", metrics),
        Route("/openapi.json", describe),
        Route("/favicon.ico", no_icon),
    ]
    handlers = {Refusal: refused, HTTPException: refused, ClientDisconnect: gone, Exception: failed}
    return Guard(Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan), service, is_host)


def _wanted(request: Request, service: Service) -> Wanted:
    top_k, explain = service.default_top_k, None
    for name, value in request.query_params.multi_items():
        if name == "top_k":
            top_k = int(value) if value.isascii() and value.isdecimal() and len(value) < 9 else 0
            most = len(service.net.classes)
            if not 1 <= top_k <= most:
                raise Refusal(422, f"top_k: expected a whole number from 1 to {most}, found {value[:100]!r}")
        elif name == "explain":
            explain = next((method for method in get_args(Method) if method == value), None)
            if explain not in service.methods:
                offered = " or ".join(service.methods) or "nothing, for this server shows no maps"
                raise Refusal(422, f"explain: expected {offered}, found {value[:100]!r}")
        else:
            raise Refusal(422, f"expected the parameters top_k and explain only, found {name[:100]!r}")
    return Wanted(top_k=top_k, explain=explain)
