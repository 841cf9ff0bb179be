"""From an order of example ids to padded batches of decoded images, in order, by threads or worker processes."""

import collections
import dataclasses
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import resource_tracker
from types import TracebackType
from typing import NamedTuple, Self

import grain
import numpy as np
from absl import flags
from numpy.typing import NDArray

from jaxnext.data.bad_image import BadImage, CorruptImage, bad_image
from jaxnext.data.cache.decoded import Cache, Reader
from jaxnext.data.compat import WORKER_GONE, adopt_shared
from jaxnext.data.image_source import ImageSource
from jaxnext.data.order import ShuffledOrder
from jaxnext.data.pillow_warnings import silence_pillow
from jaxnext.data.pixels import Pixels
from jaxnext.errors import JaxnextError

_MAX_WORKERS = 16
_WORTH_A_PROCESS = 512
_CORES_FOR_THREADS = 4
_FOR_THE_MAIN_PROCESS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class HostBatch(NamedTuple):
    """The rows of one batch that this process reads, in host memory: ``B`` of them, padding included."""

    index: int  # pyright: ignore[reportIncompatibleMethodOverride]
    """position in the order"""
    image: NDArray[np.uint8]
    """``[B, height, width, 3]``, RGB; zeros in padding and for images that failed"""
    label: NDArray[np.int32]
    """``[B]``; 0 in padding, -1 where unlabelled"""
    mask: NDArray[np.bool_]
    """``[B]``; False in padding and for images that failed"""
    ids: NDArray[np.int64]
    """``[B]``; example ids, -1 in padding"""
    errors: tuple[BadImage, ...]
    """images that failed; whether that ends the run is for the caller to say"""
    remarks: tuple[str, ...] = ()
    """what is to be said of images that were decoded, as ``remarks_of`` has it; not of those from a cache"""


class Stream(Iterator[HostBatch]):
    """Batches in the order of the order. Close it, or use it as a context manager: that ends the workers."""

    def __init__(self, iterator: grain.DatasetIterator[HostBatch]) -> None:
        self._iterator = iterator
        self.remarks: collections.Counter[str] = collections.Counter()
        """of all batches so far"""

    def __next__(self) -> HostBatch:
        try:
            batch = next(self._iterator)
        except RuntimeError as error:
            if WORKER_GONE not in str(error):
                raise
            raise JaxnextError(
                "a worker process that decodes images was ended from outside, or by a lack of memory or of shared "
                "memory (/dev/shm); --workers 0 decodes in the main process"
            ) from error
        arrays = {name: adopt_shared(getattr(batch, name)) for name in ("image", "label", "mask", "ids")}
        self.remarks.update(batch.remarks)
        return batch._replace(**arrays)

    def close(self) -> None:
        """Ends threads and worker processes; those at work finish the batch in hand. Safe to call again."""
        self._iterator.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def stream(
    order: ShuffledOrder,
    train: ImageSource | None,
    validation: ImageSource,
    pixels: Pixels,
    start: int = 0,
    workers: int = 0,
    threads: int = 2,
    cache: Cache | None = None,
    rows: range | None = None,
    train_pixels: Pixels | None = None,
    end: int | None = None,
) -> Stream:
    """Starts to read, decode and resize the batches of an order.

    What comes out does not depend on ``workers``, ``threads`` and ``cache``. Work starts at once, before the first
    batch is asked for, and runs a few batches ahead.

    Args:
        order: which examples stand in which batch.
        train: the source of training batches; None where the order has none.
        validation: the source of all other batches.
        pixels: the rules by which images are decoded and resized.
        start: position of the first batch; one past the end gives an empty stream.
        workers: processes, each of which prepares whole batches; 0: threads of this process. Processes are spawned and
            import the main module again, so that a script needs its ``if __name__ == "__main__"``.
        threads: without worker processes, batches prepared at a time.
        cache: of decoded images of both sources. One in memory is for threads only.
        rows: that are read of each batch, without a gap; ``None``: all. Those past the end of the batch are padding.
            Several processes that read the rows of each batch between them read every example once.
        train_pixels: the rules for training images where they are others; ``None``: ``pixels``.
        end: position after the last batch; ``None``: the order's end.

    Returns:
        The batches from ``start`` on.
    """
    end = len(order) if end is None else end
    if not 0 <= start <= end <= len(order):
        raise IndexError(f"start {start} and end {end} of an order of {len(order)} batches")
    workers = min(workers, end - start)
    ahead = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads + 1)
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=1) if workers else ahead
    trained_on = None if train is None else Reader(train, train_pixels or pixels, cache)
    rows = range(order.batch_size) if rows is None else rows
    maker = _BatchMaker(order, trained_on, Reader(validation, pixels, cache), rows)
    batches = grain.MapDataset.range(start, end).map(maker)
    dataset = batches.to_iter_dataset(options)
    if workers:
        processes = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=1)
        dataset = dataset.mp_prefetch(processes, worker_init_fn=_prepare_worker)
    iterator = iter(dataset)
    _start(iterator)
    return Stream(iterator)


def default_workers(cores: int, source: ImageSource, cache: Cache | None = None) -> int:
    """Worker processes where the user gives no number: one a core, at most 16; none where they would not pay.

    Decoding and resizing leave the interpreter free, so that on few cores threads are faster: on two, 340 photographs
    of 600x450 pixels a second to 512x512 against 230. Images in memory and small sets are not worth the second or two
    in which a worker starts. Nor are images that a cache holds: reading one is a copy, and a worker's would be copied
    three times.

    Args:
        cores: processor cores that this process may use.
        source: the training images.
        cache: of decoded images, if any.
    """
    if cache is not None and (cache.warm or cache.threads_only):
        return 0
    if source.in_memory or len(source) < _WORTH_A_PROCESS or cores <= _CORES_FOR_THREADS:
        return 0
    return min(cores, _MAX_WORKERS)


@dataclasses.dataclass(frozen=True, eq=False)
class _BatchMaker:
    order: ShuffledOrder
    train: Reader | None
    validation: Reader
    rows: range

    def __call__(self, index: int) -> HostBatch:
        plan = self.order.locate(index)
        reader = self.train if plan.training else self.validation
        if reader is None:
            raise ValueError(f"batch {index} is a training batch, but there is no source of training images")
        own = plan.ids[self.rows.start : self.rows.stop]
        source, rows, count = reader.source, len(self.rows), len(own)
        image = np.empty((rows, *reader.pixels.shape), np.uint8)
        image[count:] = 0
        label, mask, ids = np.zeros(rows, np.int32), np.arange(rows) < count, np.full(rows, -1, np.int64)
        label[:count], ids[:count] = source.labels[own], own
        errors: list[BadImage] = []
        failed: list[int] = []
        remarks: list[str] = []
        for position, example in enumerate(map(int, own)):
            try:
                remarks += reader.read(example, image[position])
            except (CorruptImage, OSError) as error:
                errors.append(bad_image(source.location(example), error))
                failed.append(position)
        mask[failed], image[failed] = False, 0
        return HostBatch(index, image, label, mask, ids, tuple(errors), tuple(remarks))


def _start(iterator: grain.DatasetIterator[HostBatch]) -> None:
    """Starts the workers so that no signal for the main process, which may reach the whole group, ends one.

    ``_prepare_worker`` makes a worker ignore them, but only after seconds of imports. Until then they are blocked: a
    new process inherits the signal mask of the thread that makes it. A thread of its own, because the main one must go
    on listening.
    """

    def run() -> None:
        # Grain asks for an absl flag of its own, which is an error as long as nobody has parsed or waived the flags.
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()
        # Python's own process that tidies up is started here, so that it has the mask too: it minds two of them itself,
        # and takes these two off this thread's mask.
        for prepare in (resource_tracker.ensure_running, lambda: None):
            if hasattr(signal, "pthread_sigmask"):
                signal.pthread_sigmask(signal.SIG_BLOCK, _FOR_THE_MAIN_PROCESS)
            prepare()
        # Asking for the state makes the iterators of all workers now; else they are made when first needed.
        iterator.get_state()
        iterator.start_prefetch()

    with ThreadPoolExecutor(1, "start-data-workers") as executor:
        executor.submit(run).result()


def _prepare_worker(index: int, count: int) -> None:
    del index, count
    for number in _FOR_THE_MAIN_PROCESS:
        signal.signal(number, signal.SIG_IGN)
    # In a main process it is for the command to say; this one has no other use for warnings.
    silence_pillow()
    # A main process that is killed cannot end its workers: they notice.
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
