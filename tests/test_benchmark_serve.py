import asyncio

import pytest
from benchmarks import command, serve
from benchmarks.serve import Answered, burst, summarised, unexpected

MACHINE = {"gpu": None, "cpu": "A CPU", "cores": 2, "versions": {"jax": "0.10.2", "torch": None}}


def test_figures_of_bursts() -> None:
    bursts = [
        ([Answered("photograph", 200, 0.5), Answered("photograph", 200, 1.0), Answered("bomb", 413, 9.0)], 10.0),
        ([Answered("photograph", 200, 2.0), Answered("photograph", 503, 0.1), Answered("bomb", None, 9.0)], 12.0),
    ]
    found = summarised(bursts)
    assert found == {
        "requests": 3,
        "bursts": 2,
        "images_per_second": 1.25,
        "p50_seconds": 1.0,
        "p99_seconds": pytest.approx(1.98),
        "worst_seconds": 2.0,
        "burst_seconds": 11.0,
        "lost": 1,
        "statuses": {"200": 3, "413": 1, "503": 1},
    }
    assert unexpected("hostile", bursts) == ["hostile: 1 x bomb was answered None"]
    assert unexpected("hostile", [([Answered("text", 200, 1.0)] * 2, 1.0)]) == ["hostile: 2 x text was answered 200"]
    assert serve.summary({"figures": {"hostile": found}}) == {
        "hostile: images_per_second": 1.25,
        "hostile: p50_seconds": 1.0,
        "hostile: p99_seconds": pytest.approx(1.98),
        "hostile: lost": 1,
    }
    result = {"net": "a net", "machine": MACHINE, "figures": {"hostile": found}}
    assert serve.table(result).splitlines() == [
        "a net; A CPU, 2 cores",
        "jax 0.10.2",
        "requests at once  images/s  p50 ms  p99 ms  worst ms  lost                  by status",
        "3 hostile                1    1000    1980      2000     1  3 x 200, 1 x 413, 1 x 503",
    ]


def test_what_is_sent_and_what_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that answers a little of all, and closes the third connection."""
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(3)
        seen.append(head)
        if body == b"cut":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
        else:
            writer.write(b"HTTP/1.1 415 No\r\nContent-Length: 1\r\n\r\nx")
        writer.close()

    async def run() -> list[Answered]:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await burst(port, ["text", "photograph"], {"text": [b"abc"], "photograph": [b"cut"]})

    found = asyncio.run(run())
    assert [(each.kind, each.status) for each in found] == [("text", 415), ("photograph", None)]
    assert sorted(b"text/plain" in head for head in seen) == [False, True]


@pytest.mark.slow
def test_a_server_under_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 200 requests at once, hostile ones among them, each gets the answer that it should."""
    monkeypatch.setattr("benchmarks.photographs.SIDES", (40, 60))
    monkeypatch.setattr("benchmarks.photographs._CANVAS", 200)
    monkeypatch.delitem(serve.SCENARIOS, "photographs")
    options = command.parse(["serve", "--rounds", "1", "--image_size", "16", "--batch_size", "4"])
    result = serve.run(options, lambda line: None)
    assert result["failed"] == []
    assert result["figures"]["hostile"]["lost"] == 0
    assert result["figures"]["hostile"]["statuses"] == {"200": 67, "408": 22, "413": 45, "415": 22, "422": 44}
