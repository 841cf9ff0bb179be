import asyncio

import pytest
from asgi import Answer, ask, running, service

from jaxnext.inference.serving.guard import host_name, hosts_of, is_loopback


def answered(headers: dict[str, str], hosts: tuple[str, ...] = ()) -> Answer:
    async def run() -> Answer:
        served = service()
        served.is_warm = True
        async with running(served, hosts) as app:
            found = await ask(app, "/healthz", headers=headers)
            assert served.in_flight == 0
            return found

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "localhost:8000"}, 200),
        ({"host": "LOCALHOST"}, 200),
        ({"host": "[::1]:8000"}, 200),
        ({"host": "evil.example:8000"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"host": "evil.example@127.0.0.1"}, 421),
        ({"host": "192.168.0.7:8000"}, 421),
        ({"host": ""}, 421),
        ({"host": "[::1"}, 421),
        ({"origin": "http://127.0.0.1:8000"}, 200),
        ({"origin": "http://localhost:8000"}, 403),
        ({"origin": "http://127.0.0.1:3000"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://[::1"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, 200),
    ],
)
def test_who_may_ask(headers: dict[str, str], status: int) -> None:
    found = answered(headers)
    assert found.status == status
    assert ("error" in found.json) == (status != 200)
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "access-control-allow-origin" not in found.headers


def test_names_that_are_allowed() -> None:
    assert answered({"host": "cats.example"}, ("Cats.example",)).status == 200
    assert answered({"host": "cats.example"}, ("*",)).status == 200
    assert answered({"host": "cats.example"}).json == {
        "error": "the host 'cats.example' is none of this server's; its owner can name it in --allowed_hosts"
    }


def test_addresses_are_hosts_where_others_reach_them() -> None:
    everywhere, here = hosts_of("0.0.0.0", None), hosts_of("127.0.0.1", None)
    for name, elsewhere in (("192.168.0.7", True), ("fe80::1", True), ("localhost", True), ("evil.example", False)):
        assert everywhere(name) == elsewhere
        assert here(name) == (name == "localhost")
    assert hosts_of("cats.example", None)("cats.example")


def test_parts_of_names() -> None:
    for host, name in (("A.b:1", "a.b"), ("[::1]:8", "::1"), ("a/b", None), ("a b", None), ("", None), ("[", None)):
        assert host_name(host) == name
    found = {host: is_loopback(host) for host in ("127.0.0.2", "::1", "Localhost", "0.0.0.0", "::", "cats.example")}
    assert list(found.values()) == [True, True, True, False, False, False]
