"""Images of many requests, computed together: a queue, a short wait, and one thread that computes."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from jaxnext.data.pixels import Pixels
from jaxnext.inference.explain import Method
from jaxnext.types import UInt8Image


class Net(Protocol):
    """What is served; ``TrainedClassifier`` is one."""

    classes: tuple[str, ...]
    pixels: Pixels

    def probabilities(self, images: NDArray[np.uint8], batch_size: int) -> NDArray[np.floating]:
        """Return ``[n, classes]`` of images ``[n, *pixels.shape]``, at most ``batch_size``."""
        ...

    def maps(
        self, images: NDArray[np.uint8], classes: NDArray[np.int32], method: Method, batch_size: int
    ) -> NDArray[np.float32]:
        """Return ``[n, *pixels.size]``."""
        ...


class _Waiting(NamedTuple):
    image: UInt8Image
    answer: "asyncio.Future[NDArray[np.floating]]"


class Batcher:
    """Collects images into batches of a few fixed sizes, so that few programs are compiled."""

    def __init__(
        self,
        net: Net,
        batch_size: int,
        wait: float,
        computed: Callable[[int], object] = lambda count: None,
        begin_thread: Callable[[], object] = lambda: None,
    ) -> None:
        """Make one that does nothing yet.

        Args:
            net: that computes.
            batch_size: images at a time at most.
            wait: seconds for which a batch that is not full waits for more.
            computed: told the images of each batch.
            begin_thread: called in the thread that computes, before anything else.
        """
        self._net, self._wait, self._computed = net, wait, computed
        self._sizes = batch_sizes(batch_size)
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, "net", begin_thread)

    @property
    def waiting(self) -> int:
        """Images in the queue."""
        return self._queue.qsize()

    def warm(self, methods: Sequence[Method]) -> None:
        """Compile everything that will be called, by calling it; returns when that is done.

        Args:
            methods: of the maps that will be asked for.
        """

        def call() -> None:
            for size in self._sizes:
                self._net.probabilities(np.zeros((size, *self._net.pixels.shape), np.uint8), size)
            for method in methods:
                self._map(np.zeros(self._net.pixels.shape, np.uint8), 0, method)

        self._thread.submit(call).result()

    async def probabilities(self, image: UInt8Image) -> NDArray[np.floating]:
        """Return those of one image, computed together with others: ``[classes]``."""
        answer = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Waiting(image, answer))
        return await answer

    async def map(self, image: UInt8Image, class_number: int, method: Method) -> NDArray[np.float32]:
        """Return where the net looks in an image, ``[height, width]``; between batches, alone."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._map, image, class_number, method)

    async def run(self) -> None:
        """Compute what comes, until it is cancelled; then no image waits any more and the thread has ended."""
        batch: list[_Waiting] = []
        try:
            while True:
                batch.clear()
                await self._collect(batch)
                await self._compute(batch)
        finally:
            while not self._queue.empty():
                batch.append(self._queue.get_nowait())
            for waiting in batch:
                waiting.answer.cancel()
            self._thread.shutdown(wait=False)

    async def _collect(self, batch: list[_Waiting]) -> None:
        """Wait for an image, then a little for more; put them into an empty batch."""
        clock = asyncio.get_running_loop().time
        batch.append(await self._queue.get())
        latest = clock() + self._wait
        while len(batch) < self._sizes[-1]:
            if not self._queue.empty():
                batch.append(self._queue.get_nowait())
                continue
            try:
                async with asyncio.timeout(latest - clock()):
                    batch.append(await self._queue.get())
            except TimeoutError:
                break

    async def _compute(self, batch: Sequence[_Waiting]) -> None:
        # Whoever asked may be gone.
        batch = [waiting for waiting in batch if not waiting.answer.done()]
        if not batch:
            return
        images = np.stack([waiting.image for waiting in batch])
        size = next(size for size in self._sizes if size >= len(batch))
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._thread, self._net.probabilities, images, size)
        except Exception as error:
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
            return
        self._computed(len(batch))
        for waiting, row in zip(batch, found, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(row)

    def _map(self, image: UInt8Image, class_number: int, method: Method) -> NDArray[np.float32]:
        return self._net.maps(image[None], np.array([class_number], np.int32), method, 1)[0]


def batch_sizes(batch_size: int) -> list[int]:
    """Return the sizes that batches are padded to: 1, 4, 16, ... and the largest."""
    sizes = [1]
    while sizes[-1] < batch_size:
        sizes.append(min(4 * sizes[-1], batch_size))
    return sizes
