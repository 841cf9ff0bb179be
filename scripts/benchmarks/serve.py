"""``benchmark.py serve``: a server of its own process, asked by many at once, hostile ones among them.

    photographs   every request is a photograph
    hostile       of every nine requests two are photographs; the others are a bomb, a truncated JPEG, 30,000 x 200
                  pixels, HTML named .jpg, a body that arrives too slowly, a request that is too large, and one of
                  another type

All requests of a burst are sent at the same time, each by its own connection; one that gets no whole answer is lost.
Whoever asks and who answers share the processor.
"""

import argparse
import asyncio
import collections
import contextlib
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.report import CONFIGS, Say, count, text_table, where
from jaxnext.errors import JaxnextError

HELP = "the server's answers to many requests at once, without PyTorch"
ROOT = Path(__file__).resolve().parents[2]
SCENARIOS: dict[str, tuple[str, ...]] = {
    "photographs": ("photograph",),
    "hostile": (*("photograph", "bomb", "truncated", "long", "photograph", "html", "slow", "large", "text"),),
}
EXPECTED = {
    "photograph": (200, 503),
    "bomb": (413, 503),
    "truncated": (422, 503),
    "long": (200, 503),
    "html": (422, 503),
    "slow": (408,),
    "large": (413,),
    "text": (415,),
}
"""Statuses that each kind of request may get."""
_BODY_SECONDS = 2.0
_MAX_BYTES = 8 * 2**20
_PATIENCE = 120.0
_PHOTOGRAPHS = 16
_CLASSES = 100


class Answered(NamedTuple):
    """What became of a request."""

    kind: str
    status: int | None
    """``None``: it is lost"""
    seconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this measurement's options."""
    parser.add_argument("--run", help="folder of a run; None: weights that are made for --config")
    parser.add_argument("--config", default="quickstart", help="of the net whose weights are made")
    parser.add_argument("--image_size", type=count, default=64, help="pixels on each side, of the net that is made")
    parser.add_argument("--requests", type=count, default=200, help="at once")
    parser.add_argument("--batch_size", type=count, default=16, help="images computed at a time at most")


def run(options: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Measure; return the result as JSON has it."""
    from benchmarks import machine

    with tempfile.TemporaryDirectory(prefix="jaxnext-benchmark-") as name:
        folder = Path(name)
        checkpoint = Path(options.run) if options.run is not None else _made_net(options, folder / "net")
        bodies = _bodies(folder)
        figures, failed = {}, []
        with _server(checkpoint, options.batch_size, say) as port:
            for scenario, kinds in SCENARIOS.items():
                bursts = []
                for _ in range(options.rounds):
                    requests = [kinds[number % len(kinds)] for number in range(options.requests)]
                    begin = time.perf_counter()
                    answered = asyncio.run(burst(port, requests, bodies))
                    bursts.append((answered, time.perf_counter() - begin))
                figures[scenario] = summarised(bursts)
                failed += unexpected(scenario, bursts)
                say(f"{scenario}: done")
    return {"machine": machine.describe(), "net": _net(options), "figures": figures, "failed": failed}


def table(result: dict[str, Any]) -> str:
    """Return the result for readers, a line a scenario."""
    rows = [["requests at once", "images/s", "p50 ms", "p99 ms", "worst ms", "lost", "by status"]]
    for scenario, found in result["figures"].items():
        statuses = ", ".join(f"{number} x {status}" for status, number in found["statuses"].items())
        rows.append(
            [
                f"{found['requests']} {scenario}",
                f"{found['images_per_second']:.0f}",
                *(f"{1000 * found[name]:.0f}" for name in ("p50_seconds", "p99_seconds", "worst_seconds")),
                str(found["lost"]),
                statuses,
            ]
        )
    return f"{result['net']}; {where(result['machine'])}\n{text_table(rows)}"


def summary(result: dict[str, Any]) -> dict[str, float | None]:
    """Return the figures that stand for the result."""
    names = ("images_per_second", "p50_seconds", "p99_seconds", "lost")
    return {f"{scenario}: {name}": found[name] for scenario, found in result["figures"].items() for name in names}


def summarised(bursts: Sequence[tuple[Sequence[Answered], float]]) -> dict[str, Any]:
    """Return the figures of several bursts of the same requests, each with its seconds.

    The latencies are those of requests that were answered 200; of the rates the median is taken.
    """
    import numpy as np

    every = [answered for burst, _ in bursts for answered in burst]
    good = np.array([each.seconds for each in every if each.status == 200] or [0.0])
    rates = []
    for burst, _ in bursts:
        seconds = [each.seconds for each in burst if each.status == 200]
        rates.append(len(seconds) / max(seconds) if seconds else 0.0)
    counts = collections.Counter(each.status for each in every if each.status is not None)
    return {
        "requests": len(bursts[0][0]),
        "bursts": len(bursts),
        "images_per_second": float(np.median(rates)),
        "p50_seconds": float(np.percentile(good, 50)),
        "p99_seconds": float(np.percentile(good, 99)),
        "worst_seconds": float(good.max()),
        "burst_seconds": float(np.median([seconds for _, seconds in bursts])),
        "lost": sum(each.status is None for each in every),
        "statuses": {str(status): counts[status] for status in sorted(counts)},
    }


def unexpected(scenario: str, bursts: Sequence[tuple[Sequence[Answered], float]]) -> list[str]:
    """Return a part of a sentence for each kind of request that got another answer than it should."""
    found = collections.Counter(
        (each.kind, each.status) for burst, _ in bursts for each in burst if each.status not in EXPECTED[each.kind]
    )
    return [f"{scenario}: {number} x {kind} was answered {status}" for (kind, status), number in found.items()]


async def burst(port: int, kinds: Sequence[str], bodies: dict[str, list[bytes]]) -> list[Answered]:
    """Send all requests at once; return what became of each, in their order."""
    numbers: collections.Counter[str] = collections.Counter()
    tasks = []
    for kind in kinds:
        body = bodies[kind][numbers[kind] % len(bodies[kind])]
        numbers[kind] += 1
        tasks.append(_ask(port, kind, body))
    return await asyncio.gather(*tasks)


async def _ask(port: int, kind: str, body: bytes) -> Answered:
    begin = time.perf_counter()
    status = None
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                content = "text/plain" if kind == "text" else "image/jpeg"
                head = (
                    f"POST /predict HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: {content}\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                )
                writer.write(head.encode())
                sending = asyncio.create_task(_send(writer, body, kind == "slow"))
                status = await _status(reader)
                sending.cancel()
                await asyncio.wait([sending])
            finally:
                writer.close()
    return Answered(kind, status, time.perf_counter() - begin)


async def _send(writer: asyncio.StreamWriter, body: bytes, slowly: bool) -> None:
    # The server may close the connection before all is sent; its answer says why.
    with contextlib.suppress(OSError):
        for first in range(0, len(body), 1 if slowly else 2**16):
            writer.write(body[first : first + (1 if slowly else 2**16)])
            await writer.drain()
            if slowly:
                await asyncio.sleep(0.2)


async def _status(reader: asyncio.StreamReader) -> int:
    """Read a whole answer; return its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    (length,) = [line.partition(":")[2] for line in head.splitlines() if line.startswith("content-length:")]
    await reader.readexactly(int(length))
    return int(head.split()[1])


def _bodies(folder: Path) -> dict[str, list[bytes]]:
    from PIL import Image

    from benchmarks.photographs import write_photographs

    write_photographs(folder / "photographs", _PHOTOGRAPHS)
    photographs = [path.read_bytes() for path in sorted((folder / "photographs").rglob("*.jpg"))]

    def png(width: int, height: int) -> bytes:
        file = io.BytesIO()
        Image.new("L", (width, height)).save(file, "PNG")
        return file.getvalue()

    return {
        "photograph": photographs,
        "bomb": [png(9_000, 9_000)],
        "truncated": [photographs[0][: len(photographs[0]) // 2]],
        "long": [png(30_000, 200)],
        "html": [b"<!DOCTYPE html><script>alert(1)</script>"],
        "slow": [photographs[0]],
        "large": [bytes(_MAX_BYTES + 1)],
        "text": [b"an image"],
    }


def _made_net(options: argparse.Namespace, folder: Path) -> Path:
    import dataclasses

    from jaxnext.config.yaml_text import find_config
    from jaxnext.engine.checkpoint import Checkpoints, Meta
    from jaxnext.engine.network import network
    from jaxnext.models.initialisation import initialise
    from jaxnext.tree import PARTS

    _, config = find_config(options.config, CONFIGS)
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, image_size=options.image_size),
        model=dataclasses.replace(config.model, weights=None, classes=None),
    )
    variables = initialise(network(config.model, _CLASSES, config.precision), 0)
    with Checkpoints(folder) as checkpoints:
        checkpoints.save_model("best", 0, variables, Meta(config, tuple(map(str, range(_CLASSES))), PARTS))
    return folder


@contextlib.contextmanager
def _server(checkpoint: Path, batch_size: int, say: Say) -> Iterator[int]:
    """Start a server in a process of its own; yield its port, and see it end well."""
    options = (
        f"--port 0 --explain false --batch_size {batch_size} --body_seconds {_BODY_SECONDS} --max_bytes {_MAX_BYTES}"
    )
    command = [sys.executable, str(ROOT / "scripts" / "serve.py"), str(checkpoint), *options.split()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise JaxnextError("the server has not started, for the reason above")
        say(line.strip())
        try:
            yield int(line.split("/: ")[0].rpartition(":")[2])
        finally:
            process.terminate()
            status = process.wait(60)
    if status != 0:
        raise JaxnextError(f"expected the server to end with status 0, found {status}")


def _net(options: argparse.Namespace) -> str:
    if options.run is not None:
        return options.run
    return f"{options.config}, {options.image_size}x{options.image_size}, {_CLASSES} classes, made weights"
