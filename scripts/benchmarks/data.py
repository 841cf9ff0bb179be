"""``benchmark.py data``: images a second from JPEGs to batches against PyTorch's ``DataLoader``.

Theirs are augmented and normalised; ours are decoded and resized bytes on the device, because here the training step
does the rest. How fast it does that is measured on its own. Everything runs in turn, round after round, on the same
files, which the system holds in memory by then.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.report import PRECISIONS, Say, count, text_table, where
from benchmarks.timing import Timing, ratio, take_turns
from jaxnext.errors import JaxnextError

if TYPE_CHECKING:
    from benchmarks.torch_loader import ImageFiles, TorchLoader
    from jaxnext.data.cache.decoded import Cache
    from jaxnext.data.image_source import ImageSource
    from jaxnext.data.pixels import Pixels

HELP = "loading of JPEGs, from files and from the decoded cache, and PyTorch's"
TORCH, COLD, DISK, MEMORY = "torch", "cold", "disk", "memory"
AUGMENTATION, MODERN, NORMALISATION = "augmentation", "modern", "normalisation"
TITLES = {
    TORCH: "torch's DataLoader",
    COLD: "jaxnext, cold",
    DISK: "jaxnext, cache on disk",
    MEMORY: "jaxnext, cache in memory",
    AUGMENTATION: "augment and normalise alone",
    MODERN: "augment as today's recipes do and normalise alone",
    NORMALISATION: "normalise alone",
}
LISTS = {
    AUGMENTATION: ["original"],
    MODERN: ["random_resized_crop", "horizontal_flip", "trivial_augment_wide", "random_erasing"],
    NORMALISATION: [],
}
"""Augmentations of a training step."""

_BATCHES_EACH = 10
"""Batches that each thread or process reads in a turn, at least: then it matters little that some end sooner."""
_CACHED_EPOCHS = 8
"""Epochs in a turn of the cached loaders, for one would be over in a moment."""

Turn = Callable[[], float]
"""Takes a turn; returns the seconds that an image took."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this measurement's options."""
    parser.add_argument("--images", type=count, default=512, help="files that are written for it, in a folder for now")
    parser.add_argument("--image_size", type=count, default=512, help="pixels on each side that they are resized to")
    parser.add_argument("--batch_size", type=count, default=16, help="images in a batch")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of normalised images")


def run(options: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Measure, in a folder that is removed afterwards.

    Returns:
        the result as JSON has it. ``*_ratio_to_torch`` are our images a second over theirs: ``cold`` without a cache,
        ``disk`` and ``memory`` with one.

    Raises:
        JaxnextError: torch does not see the GPU; there is too little room.
    """
    import torch  # pyright: ignore[reportMissingImports]

    from benchmarks import machine
    from benchmarks.photographs import write_photographs

    machine.prepare()
    device = machine.prepare_torch(torch)
    with tempfile.TemporaryDirectory(prefix="jaxnext-benchmark-") as folder:
        say(f"writing {options.images:,} JPEGs")
        try:
            file_bytes = write_photographs(Path(folder) / "train", options.images)
        except OSError as error:
            reason = error.strerror or str(error)
            raise JaxnextError(
                f"{folder}: the images cannot be written ({reason}); TMPDIR names another place"
            ) from error
        return {
            **{key: getattr(options, key) for key in ("images", "image_size", "batch_size", "precision", "rounds")},
            "file_bytes": file_bytes,
            "machine": machine.describe(),
            **_measure(torch, device, Path(folder), options, machine.cores(), say),
        }


def table(result: dict[str, Any]) -> str:
    """Return the result for readers."""
    size, loaders = result["image_size"], result["loaders"]
    rows = [["", "images/s", "least", "most", "over torch's"]]
    for name, title in TITLES.items():
        record = loaders[name]
        cells = [f"{record[key]:,.0f}" for key in ("images_per_second", "least", "most")]
        over = result.get(f"{name}_ratio_to_torch")
        rows.append([title, *cells, *([] if over is None else [f"{over:.2f}"])])
    tried = ", ".join(f"{n}: {rate:.0f}" for n, rate in result["torch_images_per_second_by_workers"].items())
    processes = f"{result['workers']} processes" if result["workers"] else f"{result['machine']['cores']} threads"
    return "\n".join(
        [
            f"{result['images']:,} JPEGs, {result['file_bytes'] / result['images'] / 1e3:.0f} kB each, "
            f"to {size} x {size}, batch {result['batch_size']}, {result['rounds']} rounds; {where(result['machine'])}",
            "",
            text_table(rows),
            "",
            f"torch: augmented and normalised; {result['torch_workers']} workers (images/s with {tried}); "
            f"transforms {result['torch_transforms']}",
            f"jaxnext: bytes on the device, which the training step augments and normalises at the rates of the last "
            f"rows; {processes} read where nothing is cached; the pass that filled the cache on disk: "
            f"{result['fill_images_per_second'][DISK]:,.0f} images/s",
        ]
    )


def summary(result: dict[str, Any]) -> dict[str, float | None]:
    """Return the figures that stand for the result."""
    return {f"{TITLES[name]}, images/s": record["images_per_second"] for name, record in result["loaders"].items()} | {
        f"{TITLES[name]}, images/s over torch's": result[f"{name}_ratio_to_torch"] for name in (COLD, DISK, MEMORY)
    }


def _measure(
    torch: Any, device: str, folder: Path, options: argparse.Namespace, cores: int, say: Say
) -> dict[str, Any]:
    from benchmarks import torch_loader
    from jaxnext.data.folder_source import class_folder_source
    from jaxnext.data.loader import default_workers

    source = class_folder_source(folder / "train")
    transform, whose = torch_loader.transforms(options.image_size)
    names = [source.location(number) for number in range(len(source))]
    files = torch_loader.ImageFiles(names, source.labels.tolist(), transform)
    theirs, tried = _best_loader(torch, device, files, options, cores, say)
    turns: dict[str, Turn] = {
        TORCH: lambda: _torch_turn(theirs, options),
        COLD: lambda: _turn(source, options, cores),
    }
    fill: dict[str, float] = {}
    for kind in (DISK, MEMORY):
        say(f"filling the cache ({'on disk' if kind == DISK else 'in memory'})")
        cache, fill[kind] = _filled_cache(kind, folder / "decoded", source, options, cores)
        turns[kind] = lambda cache=cache: _turn(source, options, cores, cache, _CACHED_EPOCHS)
    for name, names in LISTS.items():
        turns[name] = _augmentation(source, options, names)
    say(f"measuring {len(turns)} functions in {options.rounds} rounds")
    for turn in turns.values():
        turn()
    timings = take_turns(turns, options.rounds)
    theirs.close()
    return {
        "torch_transforms": whose,
        "torch_workers": theirs.workers,
        "torch_images_per_second_by_workers": {str(workers): 1 / seconds for workers, seconds in tried.items()},
        "workers": default_workers(cores, source),
        "loaders": {name: _record(timing) for name, timing in timings.items()},
        "fill_images_per_second": {kind: 1 / seconds for kind, seconds in fill.items()},
        **{f"{name}_ratio_to_torch": ratio(timings[TORCH], [timings[name]]) for name in (COLD, DISK, MEMORY)},
    }


def _best_loader(
    torch: Any,
    device: str,
    files: "ImageFiles",
    options: argparse.Namespace,
    cores: int,
    say: Say,
) -> tuple["TorchLoader", dict[int, float]]:
    """PyTorch's loader with the number of workers that took least time, and the seconds an image took with each."""
    from benchmarks.torch_loader import TorchLoader

    best, tried = None, {}
    # More than cores, too: none idles while another waits.
    for workers in sorted({0, 1, 2, cores, cores + 1, 2 * cores}):
        say(f"trying PyTorch's DataLoader, {workers} workers")
        loader = TorchLoader(torch, device, files, options.batch_size, workers)
        # Until each worker has started.
        loader.read(2 * max(workers, 1))
        tried[workers] = _torch_turn(loader, options)
        if best is None or tried[workers] < tried[best.workers]:
            best, loader = loader, best
        if loader is not None:
            loader.close()
    if best is None:
        raise ValueError("no number of workers")
    return best, tried


def _torch_turn(loader: "TorchLoader", options: argparse.Namespace) -> float:
    batches = max(-(-options.images // options.batch_size), _BATCHES_EACH * loader.workers)
    begin = time.perf_counter()
    images = loader.read(batches)
    return (time.perf_counter() - begin) / images


def _pixels(options: argparse.Namespace) -> "Pixels":
    from jaxnext.data.pixels import Pixels

    return Pixels((options.image_size, options.image_size))


def _turn(
    source: "ImageSource", options: argparse.Namespace, cores: int, cache: "Cache | None" = None, epochs: int = 1
) -> float:
    """Seconds an image takes from its file, or from a cache, to the device; the start of worker processes excluded."""
    import jax

    from jaxnext.data.loader import default_workers, stream
    from jaxnext.data.order import ShuffledOrder

    workers = default_workers(cores, source, cache)
    # By then each process has given two, and none has given more than it must.
    start = 2 * workers
    per_epoch = -(-options.images // options.batch_size)
    epochs = max(epochs, -(-(start + _BATCHES_EACH * max(workers, cores)) // per_epoch))
    order = ShuffledOrder(len(source), 0, options.batch_size, epochs, 0)
    begin, images = time.perf_counter(), 0
    with stream(order, source, source, _pixels(options), workers=workers, threads=cores, cache=cache) as batches:
        for number, batch in enumerate(batches, 1):
            if batch.errors:
                raise JaxnextError(f"{batch.errors[0].name}: {batch.errors[0].reason}")
            jax.block_until_ready(jax.device_put(batch.image))
            images += int(batch.mask.sum())
            if number == start:
                begin, images = time.perf_counter(), 0
    return (time.perf_counter() - begin) / images


def _filled_cache(
    kind: Literal["disk", "memory"], place: Path, source: "ImageSource", options: argparse.Namespace, cores: int
) -> tuple["Cache", float]:
    """A cache with every image in it, and the seconds an image took in the pass that filled it."""
    from jaxnext.data.cache.decoded import open_cache

    cache, _ = open_cache(kind, place, [source], _pixels(options))
    seconds = _turn(source, options, cores, cache)
    cache.flush()
    return cache, seconds


def _augmentation(source: "ImageSource", options: argparse.Namespace, names: list[str]) -> Turn:
    """What the training step does to a batch before the network sees it, for as many batches as the images fill."""
    import jax
    import numpy as np

    from jaxnext.augment import apply_all, draw_all
    from jaxnext.config.mapping import build
    from jaxnext.normalization import normalize

    size, rows = options.image_size, options.batch_size
    augmentations = tuple(choice.build() for choice in build({"augment": names}).augment)
    # What takes long depends on what is drawn.
    batches = range(-(-len(source) // rows))
    drawn = [jax.device_put(draw_all(augmentations, 0, step, rows, (size, size))) for step in batches]
    images = jax.device_put(np.random.default_rng(0).integers(0, 256, (rows, size, size, 3), np.uint8))
    step = jax.jit(
        lambda images, parameters: normalize(apply_all(augmentations, images, parameters), options.precision)
    )
    jax.block_until_ready(step(images, drawn[0]))

    def turn() -> float:
        begin = time.perf_counter()
        for parameters in drawn:
            jax.block_until_ready(step(images, parameters))
        return (time.perf_counter() - begin) / (len(drawn) * rows)

    return turn


def _record(timing: Timing) -> dict[str, float]:
    return {
        "seconds_per_image": timing.median,
        "images_per_second": 1 / timing.median,
        "least": 1 / max(timing.samples),
        "most": 1 / timing.least,
    }
