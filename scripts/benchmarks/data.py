"""``benchmark.py data``: images a second from JPEGs to batches against PyTorch's ``DataLoader``.

Theirs are augmented and normalised; ours are decoded and resized bytes on the device, because here the training step
does the rest. How fast it does that is measured on its own. Everything runs in turn, round after round, on the same
files, which the system holds in memory by then.
"""

import dataclasses
import importlib.metadata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from benchmarks import machine, torch_loader, torch_model
from benchmarks.photographs import SIDES, write_photographs
from benchmarks.report import text_table
from benchmarks.timing import Clock, Timing, ratio
from jaxnext.augment.original import Augmentation
from jaxnext.data.cache.decoded import Cache, open_cache
from jaxnext.data.folder_source import class_folder_source
from jaxnext.data.image_source import ImageSource
from jaxnext.data.loader import default_workers, stream
from jaxnext.data.order import ShuffledOrder
from jaxnext.errors import JaxnextError
from jaxnext.normalization import normalize

TORCH, COLD, DISK, MEMORY, AUGMENTATION = "torch", "cold", "disk", "memory", "augmentation"
TITLES = {
    TORCH: "torch's DataLoader",
    COLD: "jaxnext, cold",
    DISK: "jaxnext, cache on disk",
    MEMORY: "jaxnext, cache in memory",
    AUGMENTATION: "augment and normalise alone",
}

_BATCHES_EACH = 10
"""Batches that each thread or process reads in a turn, at least: then it matters little that some end sooner."""
_CACHED_EPOCHS = 8
"""Epochs in a turn of the cached loaders, for one would be over in a moment."""

Say = Callable[[str], None]
Turn = Callable[[], float]
"""Takes a turn; returns the seconds that an image took."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured."""

    images: int = 512
    """files written"""
    image_size: int = 512
    batch_size: int = 16
    rounds: int = 5


def run(options: Options, folder: Path, *, cores: int, clock: Clock, say: Say) -> dict[str, Any]:
    """Measure.

    Args:
        options: what.
        folder: receives the images and the cache.
        cores: that may be used.
        clock: seconds.
        say: told what is being done.

    Returns:
        the result as JSON has it. ``cold_ratio_to_torch`` and ``warm_ratio_to_torch`` are our images a second over
        theirs, without a cache and with the one on disk.

    Raises:
        JaxnextError: torch is not installed or does not see the GPU; the folder has too little room.
    """
    torch = torch_model.import_torch()
    device = machine.prepare_torch(torch, cores)
    say(f"writing {options.images:,} JPEGs")
    try:
        file_bytes = write_photographs(folder / "train", options.images)
    except OSError as error:
        reason = error.strerror or str(error)
        raise JaxnextError(f"{folder}: the images cannot be written ({reason}); TMPDIR names another place") from error
    source = class_folder_source(folder / "train")
    transform, whose = torch_loader.transforms(options.image_size)
    files = torch_loader.ImageFiles([source.location(i) for i in range(len(source))], source.labels.tolist(), transform)
    theirs, tried = _best_loader(torch, device, files, options, cores, clock, say)
    turns: dict[str, Turn] = {
        TORCH: lambda: _torch_turn(theirs, options, clock),
        COLD: lambda: _turn(source, options, cores, clock),
    }
    fill: dict[str, float] = {}
    for kind in (DISK, MEMORY):
        say(f"filling the cache ({'on disk' if kind == DISK else 'in memory'})")
        cache, fill[kind] = _filled_cache(kind, folder / "decoded", source, options, cores, clock)
        turns[kind] = lambda cache=cache: _turn(source, options, cores, clock, cache, _CACHED_EPOCHS)
    turns[AUGMENTATION] = _augmentation(source, options, clock)
    say(f"measuring {len(turns)} functions in {options.rounds} rounds")
    timings = _in_turn(turns, options.rounds)
    theirs.close()
    return {
        "command": "data",
        **dataclasses.asdict(options),
        "file_bytes": file_bytes,
        "machine": machine.describe(cores),
        "versions": machine.versions(torch) | _versions(),
        "torch_transforms": whose,
        "torch_workers": theirs.workers,
        "torch_images_per_second_by_workers": {str(workers): 1 / seconds for workers, seconds in tried.items()},
        "workers": default_workers(cores, source),
        "threads": cores,
        "loaders": {name: _record(timing) for name, timing in timings.items()},
        "fill_images_per_second": {kind: 1 / seconds for kind, seconds in fill.items()},
        "cold_ratio_to_torch": ratio(timings[TORCH], [timings[COLD]]),
        "warm_ratio_to_torch": ratio(timings[TORCH], [timings[DISK]]),
        "memory_ratio_to_torch": ratio(timings[TORCH], [timings[MEMORY]]),
    }


def table(result: dict[str, Any]) -> str:
    """The result for readers."""
    where = result["machine"]
    size, loaders = result["image_size"], result["loaders"]
    device = f", {where['gpu']}" if where["gpu"] else ""
    rows = [["", "images/s", "least", "most", "over torch's"]]
    for name, title in TITLES.items():
        record = loaders[name]
        cells = [f"{record[key]:,.0f}" for key in ("images_per_second", "least", "most")]
        over = loaders[TORCH]["seconds_per_image"] / record["seconds_per_image"]
        rows.append([title, *cells, *([f"{over:.2f}"] if name in (COLD, DISK, MEMORY) else [])])
    tried = ", ".join(f"{n}: {rate:.0f}" for n, rate in result["torch_images_per_second_by_workers"].items())
    processes = f"{result['workers']} processes" if result["workers"] else f"{result['threads']} threads"
    fill = result["fill_images_per_second"][DISK]
    return "\n".join(
        [
            f"{result['images']:,} JPEGs of {SIDES[0]} to {SIDES[1]} pixels a side, "
            f"{result['file_bytes'] / result['images'] / 1e3:.0f} kB each, to {size} x {size}, "
            f"batch {result['batch_size']}, {result['rounds']} rounds; {where['cpu']}, {where['cores']} cores{device}",
            "",
            text_table(rows),
            "",
            f"torch: augmented and normalised; {result['torch_workers']} workers (images/s with {tried}); "
            f"transforms {result['torch_transforms']}",
            f"jaxnext: bytes on the device, which the training step augments and normalises at the last row's rate; "
            f"{processes} read where nothing is cached; the pass that filled the cache on disk: {fill:,.0f} images/s",
            ", ".join(f"{name} {version}" for name, version in result["versions"].items()),
        ]
    )


def _best_loader(
    torch: Any,
    device: str,
    files: torch_loader.ImageFiles,
    options: Options,
    cores: int,
    clock: Clock,
    say: Say,
) -> tuple[torch_loader.TorchLoader, dict[int, float]]:
    """PyTorch's loader with the number of workers that took least time, and the seconds an image took with each."""
    best, tried = None, {}
    # More than cores, too: none idles while another waits.
    for workers in sorted({0, 1, 2, cores, cores + 1, 2 * cores}):
        say(f"trying PyTorch's DataLoader, {workers} workers")
        loader = torch_loader.TorchLoader(torch, device, files, options.batch_size, workers)
        # Until each worker has started.
        loader.read(2 * max(workers, 1))
        tried[workers] = _torch_turn(loader, options, clock)
        if best is None or tried[workers] < tried[best.workers]:
            best, loader = loader, best
        if loader is not None:
            loader.close()
    if best is None:
        raise ValueError("no number of workers")
    return best, tried


def _torch_turn(loader: torch_loader.TorchLoader, options: Options, clock: Clock) -> float:
    batches = max(-(-options.images // options.batch_size), _BATCHES_EACH * loader.workers)
    begin = clock()
    images = loader.read(batches)
    return (clock() - begin) / images


def _turn(
    source: ImageSource, options: Options, cores: int, clock: Clock, cache: Cache | None = None, epochs: int = 1
) -> float:
    """Seconds an image takes from its file, or from a cache, to the device; the start of worker processes excluded."""
    workers = default_workers(cores, source, cache)
    # By then each process has given two, and none has given more than it must.
    start = 2 * workers
    per_epoch = -(-options.images // options.batch_size)
    epochs = max(epochs, -(-(start + _BATCHES_EACH * max(workers, cores)) // per_epoch))
    order = ShuffledOrder(len(source), 0, options.batch_size, epochs, 0)
    begin, images = clock(), 0
    size = options.image_size
    with stream(order, source, source, size, workers=workers, threads=cores, cache=cache) as batches:
        for number, batch in enumerate(batches, 1):
            if batch.errors:
                raise JaxnextError(f"{batch.errors[0].name}: {batch.errors[0].reason}")
            jax.block_until_ready(jax.device_put(batch.image))
            images += int(batch.mask.sum())
            if number == start:
                begin, images = clock(), 0
    return (clock() - begin) / images


def _filled_cache(
    kind: Literal["disk", "memory"], place: Path, source: ImageSource, options: Options, cores: int, clock: Clock
) -> tuple[Cache, float]:
    """A cache with every image in it, and the seconds an image took in the pass that filled it."""
    cache, _ = open_cache(kind, place, [source], options.image_size)
    seconds = _turn(source, options, cores, clock, cache)
    cache.flush()
    return cache, seconds


def _augmentation(source: ImageSource, options: Options, clock: Clock) -> Turn:
    """What the training step does to a batch before the network sees it, for as many batches as the images fill."""
    size, rows = options.image_size, options.batch_size
    augmentation = Augmentation()
    # What takes long depends on what is drawn.
    drawn = [jax.device_put(augmentation.draw(0, step, rows, size)) for step in range(-(-len(source) // rows))]
    images = jax.device_put(np.random.default_rng(0).integers(0, 256, (rows, size, size, 3), np.uint8))
    step = jax.jit(lambda images, parameters: normalize(augmentation.apply(images, parameters), np.float32))
    jax.block_until_ready(step(images, drawn[0]))

    def turn() -> float:
        begin = clock()
        for parameters in drawn:
            jax.block_until_ready(step(images, parameters))
        return (clock() - begin) / (len(drawn) * rows)

    return turn


def _in_turn(turns: dict[str, Turn], rounds: int) -> dict[str, Timing]:
    for turn in turns.values():
        turn()
    samples: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(rounds):
        for name, turn in turns.items():
            samples[name].append(turn())
    return {name: Timing(tuple(values)) for name, values in samples.items()}


def _record(timing: Timing) -> dict[str, float]:
    return {
        "seconds_per_image": timing.median,
        "images_per_second": 1 / timing.median,
        "least": 1 / max(timing.samples),
        "most": 1 / timing.least,
    }


def _versions(packages: Iterable[str] = ("grain", "numpy", "pillow", "simplejpeg")) -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in packages}
