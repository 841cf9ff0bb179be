import asyncio
import threading
from typing import Any

import numpy as np
import pytest
from asgi import FakeNet

from jaxnext.inference.serving.batching import Batcher, batch_sizes


def test_sizes() -> None:
    assert [batch_sizes(size) for size in (1, 2, 4, 5, 16, 20, 64)] == [
        [1],
        [1, 2],
        [1, 4],
        [1, 4, 5],
        [1, 4, 16],
        [1, 4, 16, 20],
        [1, 4, 16, 64],
    ]


def images(count: int) -> list[np.ndarray]:
    return [np.full((8, 8, 3), number, np.uint8) * np.array([1, 0, 0], np.uint8) for number in range(count)]


def computed(batcher: Batcher, count: int, *, apart: float = 0.0) -> list[Any]:
    """The answers to so many images, asked for at once or apart; what failed as its exception."""

    async def ask(number: int, image: np.ndarray) -> Any:
        await asyncio.sleep(apart * number)
        return await batcher.probabilities(image)

    async def run() -> list[Any]:
        running = asyncio.create_task(batcher.run())
        try:
            asked = [ask(number, image) for number, image in enumerate(images(count))]
            return await asyncio.gather(*asked, return_exceptions=True)
        finally:
            running.cancel()
            await asyncio.wait([running])

    return asyncio.run(run())


def test_each_has_its_own_answer_from_few_batches() -> None:
    net, seen = FakeNet(), []
    found = computed(Batcher(net, 4, 0.05, seen.append), 10)
    expected = [(64 * number + 1) / (64 * number + 3) for number in range(10)]
    np.testing.assert_allclose([row[0] for row in found], expected)
    assert net.batches == [(4, 4), (4, 4), (2, 4)]
    assert seen == [4, 4, 2]


def test_it_waits_a_little_for_more() -> None:
    net = FakeNet()
    computed(Batcher(net, 4, 0.4), 2, apart=0.02)
    assert net.batches == [(2, 4)]
    net = FakeNet()
    computed(Batcher(net, 4, 0.0), 2, apart=0.05)
    assert net.batches == [(1, 1), (1, 1)]


def test_a_batch_that_fails_is_not_the_end() -> None:
    class Broken(FakeNet):
        def probabilities(self, images: np.ndarray, batch_size: int) -> np.ndarray:
            if not self.batches:
                self.batches.append((0, 0))
                raise MemoryError("full")
            return super().probabilities(images, batch_size)

    found = computed(Batcher(Broken(), 2, 0.05), 4)
    assert [type(each) for each in found] == [MemoryError, MemoryError, np.ndarray, np.ndarray]


def test_who_is_gone_is_not_computed() -> None:
    net = FakeNet()

    async def run() -> None:
        batcher = Batcher(net, 4, 0.05)
        first, second = (asyncio.create_task(batcher.probabilities(image)) for image in images(2))
        await asyncio.sleep(0)
        assert batcher.waiting == 2
        first.cancel()
        running = asyncio.create_task(batcher.run())
        assert len(await second) == 3
        running.cancel()

    asyncio.run(run())
    assert net.batches == [(1, 1)]


def test_what_waits_at_the_end_is_cancelled() -> None:
    async def run() -> None:
        batcher = Batcher(FakeNet(), 4, 10.0)
        running = asyncio.create_task(batcher.run())
        first = asyncio.create_task(batcher.probabilities(images(1)[0]))
        await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait([running])
        with pytest.raises(asyncio.CancelledError):
            await first

    asyncio.run(run())


def test_warm_calls_every_size_in_the_thread_that_computes() -> None:
    threads = []

    class Noting(FakeNet):
        def probabilities(self, images: np.ndarray, batch_size: int) -> np.ndarray:
            threads.append(threading.current_thread().name)
            return super().probabilities(images, batch_size)

        def maps(self, images: np.ndarray, classes: np.ndarray, method: str, batch_size: int) -> np.ndarray:
            self.batches.append((len(images), f"{method} {batch_size}"))  # pyright: ignore[reportArgumentType]
            return super().maps(images, classes, method, batch_size)

    net, begun = Noting(), []
    Batcher(net, 6, 0.0, begin_thread=lambda: begun.append(threading.current_thread().name)).warm(("gradcam", "cbam"))
    assert net.batches == [(1, 1), (4, 4), (6, 6), (1, "gradcam 1"), (1, "cbam 1")]
    assert begun == ["net_0"]
    assert threads == ["net_0"] * 3
