"""From the files of a request to its answers: decoded in threads, computed in batches."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from jaxnext.data.bad_image import CorruptImage, TooManyPixels
from jaxnext.data.decode import decode
from jaxnext.data.pixels import Pixels
from jaxnext.data.resize import resize
from jaxnext.inference.explain import Method
from jaxnext.inference.serving.answers import answer, explanation
from jaxnext.inference.serving.batching import Batcher, Net
from jaxnext.inference.serving.counters import Counters
from jaxnext.inference.serving.limits import Limits
from jaxnext.inference.serving.room import Room, Share
from jaxnext.inference.serving.upload import Upload
from jaxnext.types import UInt8Image

FORMATS = ("BMP", "GIF", "JPEG", "PPM", "PNG", "AVIF", "JPEG2000", "TIFF", "WEBP")
"""Pillow's names of what is decoded beside HEIF: what cameras and browsers write, not what hardly anybody has tried."""
_TOP_K = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a request asks for."""

    top_k: int
    explain: Method | None


class Service:
    """A net that answers requests.

    Attributes:
        net: that computes.
        limits: of what is taken.
        counters: of what was done.
        methods: by which it shows where it looks.
        threshold: of the probability, below which a class is ``unknown``.
        stopping: whether requests are refused, because the server is about to end.
        in_flight: requests that are being answered.
    """

    def __init__(
        self,
        net: Net,
        limits: Limits,
        batch_size: int,
        wait_seconds: float,
        decoding_threads: int,
        threshold: float | None = None,
        methods: tuple[Method, ...] = ("gradcam",),
        begin_thread: Callable[[], object] = lambda: None,
    ) -> None:
        """Make one; ``running`` has it run.

        Args:
            net: that computes.
            limits: of what is taken.
            batch_size: images computed at a time at most.
            wait_seconds: for which a batch that is not full waits for more images.
            decoding_threads: images decoded at a time.
            threshold: of the probability, below which a class is ``unknown``; ``None``: none is.
            methods: by which it may be asked to show where it looks.
            begin_thread: called in the thread that computes, before anything else.
        """
        self.net, self.limits, self.threshold, self.methods = net, limits, threshold, methods
        self.counters = Counters()
        self._batcher = Batcher(net, batch_size, wait_seconds, self.counters.batch, begin_thread)
        self.counters.watch_queue(lambda: self._batcher.waiting)
        self._decoding_threads = decoding_threads
        self._places = Room(limits.queue, "too many images wait to be computed; send it again a little later")
        self._bytes = Room(limits.waiting_bytes, "too many requests are being read; send it again a little later")
        self._executor: ThreadPoolExecutor | None = None
        self.is_warm = self.stopping = False
        self.in_flight = 0

    @property
    def default_top_k(self) -> int:
        """Classes in an answer where a request says nothing."""
        return min(_TOP_K, len(self.net.classes))

    def warm(self) -> None:
        """Compile everything; until then it is not healthy."""
        self._batcher.warm(self.methods)
        self.is_warm = True

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Decode and compute within it."""
        with ThreadPoolExecutor(self._decoding_threads, "decode") as self._executor:
            batches = asyncio.create_task(self._batcher.run())
            try:
                yield
            finally:
                batches.cancel()
                await asyncio.wait([batches])

    def memory(self) -> Share:
        """Return the memory of a request, in which its files are; given back when the block ends."""
        return self._bytes.share()

    async def answers(self, uploads: list[Upload], wanted: Wanted, memory: Share) -> list[dict[str, Any]]:
        """Return what is said of each file of a request, in its order.

        Args:
            uploads: the files; emptied once they are decoded, so that nobody holds them any longer.
            wanted: what is asked for.
            memory: in which they are; given back then.

        Returns:
            As ``answer`` has it; of an image that cannot be read ``name``, ``error`` and the ``status`` it stands for.

        Raises:
            Refusal: there is no place for so many.
        """
        with self._places.share() as places:
            places.take(len(uploads))
            names = [upload.name for upload in uploads]
            images = await asyncio.gather(*(self._decoded(upload.data) for upload in uploads))
            uploads.clear()
            memory.give_back()
            return await asyncio.gather(
                *(self._answer(name, image, wanted) for name, image in zip(names, images, strict=True))
            )

    async def _decoded(self, data: bytes) -> UInt8Image | CorruptImage:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, decoded, data, self.net.pixels, self.limits.max_pixels)

    async def _answer(self, name: str, image: UInt8Image | CorruptImage, wanted: Wanted) -> dict[str, Any]:
        if isinstance(image, CorruptImage):
            self.counters.image("unreadable")
            status = 413 if isinstance(image, TooManyPixels) else 422
            return {"name": name, "error": f"the image cannot be read ({image})", "status": status}
        probabilities = await self._batcher.probabilities(image)
        found = answer(name, self.net.classes, probabilities, wanted.top_k, self.threshold)
        self.counters.image("known" if found["known"] else "unknown")
        if wanted.explain is not None:
            values = await self._batcher.map(image, int(probabilities.argmax()), wanted.explain)
            draw = explanation, image, values, wanted.explain, found["top"][0]["label"]
            found["explanation"] = await asyncio.get_running_loop().run_in_executor(self._executor, *draw)
        return found


def decoded(data: bytes, pixels: Pixels, max_pixels: int) -> UInt8Image | CorruptImage:
    """Return an image as the net sees it, or why it cannot be read.

    Args:
        data: of the file.
        pixels: the rules of the training run.
        max_pixels: of the image, by its header.
    """
    try:
        return resize(decode(data, pixels, formats=FORMATS, max_pixels=max_pixels), pixels)
    except CorruptImage as error:
        return error
    except MemoryError:
        return TooManyPixels("there is not enough memory for its pixels")
