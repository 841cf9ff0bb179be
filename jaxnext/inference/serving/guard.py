"""What stands before every request: who may ask, what browsers are told, and what is counted."""

import asyncio
import ipaddress
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jaxnext.inference.serving.refusal import Refusal
from jaxnext.inference.serving.service import Service

ANY_HOST = "*"
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Of every answer that does not have its own."""


class Guard:
    """An ASGI application in front of another.

    A page of somebody else's that a browser shows may send requests to any address that the browser can reach. Its own
    name is then in ``Origin``, or, where its name was made to mean this machine (DNS rebinding), in ``Host``.
    """

    def __init__(self, app: ASGIApp, service: Service, is_host: Callable[[str], bool]) -> None:
        """Make one.

        Args:
            app: what is guarded.
            service: whose requests are counted.
            is_host: whether a name, without a port, is one of this server's.
        """
        self._app, self._service, self._is_host = app, service, is_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        clock = asyncio.get_running_loop().time
        begin, status = clock(), 500

        async def with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        self._service.in_flight += 1
        try:
            self._check(Headers(scope=scope))
            await self._app(scope, receive, with_headers)
        except Refusal as error:
            await error.response()(scope, receive, with_headers)
        finally:
            self._service.in_flight -= 1
            self._service.counters.request(scope["path"], status, clock() - begin)

    def _check(self, headers: Headers) -> None:
        host = headers.get("host", "")
        name = host_name(host)
        if name is None or not self._is_host(name):
            raise Refusal(
                421, f"the host {host[:100]!r} is none of this server's; its owner can name it in --allowed_hosts"
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit_netloc(origin) != host.lower():
            raise Refusal(403, "requests of pages that are not this server's are refused")
        if headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
            raise Refusal(403, "requests of pages that are not this server's are refused")


def hosts_of(bound: str, allowed: Iterable[str] | None) -> Callable[[str], bool]:
    """Return the function that says whether a server answers to a name.

    It answers to ``localhost``, to the name it is bound to, and to those that are allowed besides. Where others than
    this machine can reach it, also to any address in digits: what is in the digits cannot be made to mean anything
    else.

    Args:
        bound: name or address that the server is bound to.
        allowed: names that it has; ``*`` is all.
    """
    names = {"localhost", "127.0.0.1", "::1", bound.lower(), *(name.lower() for name in allowed or ())}

    def is_host(name: str) -> bool:
        return ANY_HOST in names or name in names or (not is_loopback(bound) and _is_address(name))

    return is_host


def host_name(host: str) -> str | None:
    """Return the name in a header ``Host``, in lower case and without the port; ``None`` where it is none."""
    try:
        return urlsplit(f"//{host}").hostname if host and not set(host) & set("/?#@\\ ") else None
    except ValueError:
        return None


def urlsplit_netloc(origin: str) -> str | None:
    """Return name and port of a header ``Origin`` as ``Host`` has them; ``None`` where it has none."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server that is bound to a name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
