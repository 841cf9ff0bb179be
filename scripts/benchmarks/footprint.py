"""``benchmark.py footprint``: memory and waits at full size, without PyTorch.

    listing   a folder of so many files, listed first and again with its index
    cache     two epochs at 512x512 from so many JPEGs through the cache on disk: the first fills it
    predict   a tiny net on so many tiny images
    wait      an epoch of training at 512x512 on so many JPEGs

Anonymous memory is what the process itself takes, mapped files excluded; the most that was seen is reported. Where many
files are needed they are links to a few, which is the same to whoever reads them.
"""

import argparse
import contextlib
import dataclasses
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.report import CONFIGS, Say, count, where
from jaxnext.errors import JaxnextError

HELP = "memory and waits at full size, without PyTorch"
IMAGES = {"listing": 300_000, "cache": 21_000, "predict": 100_000, "wait": 64}
"""How many where none are asked for."""
_DIFFERENT = 512
_IN_A_FOLDER = 1000
_SAMPLE_SECONDS = 0.02
_SETTLE_SECONDS = 3.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this measurement's options."""
    parser.add_argument("--part", choices=tuple(IMAGES), required=True, help="what")
    parser.add_argument("--images", type=count, help=f"files written for it; None: {IMAGES}")
    parser.add_argument("--image_size", type=count, default=512, help="pixels on each side, of cache and wait")
    parser.add_argument("--batch_size", type=count, default=16, help="images in a batch, of cache and wait")
    parser.add_argument("--config", default="baseline", help="of the network that wait trains")


def run(options: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Measure one part, whose files go into a folder that is removed afterwards; return the result as JSON has it."""
    from benchmarks import machine

    machine.prepare()
    images = options.images or IMAGES[options.part]
    say(f"{options.part}: writing {images:,} files")
    part = {"listing": _listing, "cache": _cache, "predict": _predict, "wait": _wait}[options.part]
    with tempfile.TemporaryDirectory(prefix="jaxnext-benchmark-") as folder:
        figures = part(images, options, Path(folder), machine.cores(), say)
    return {"part": options.part, "images": images, "machine": machine.describe(), "figures": figures}


def table(result: dict[str, Any]) -> str:
    """Return the result for readers, a line a figure."""
    figures = [f"{name.replace('_', ' ')}: {_shown(name, value)}" for name, value in result["figures"].items()]
    return "\n".join([f"{result['part']}, {result['images']:,} images; {where(result['machine'])}", *figures])


def summary(result: dict[str, Any]) -> dict[str, float | None]:
    """Return the figures that stand for the result."""
    return result["figures"]


def anonymous_memory() -> int:
    """Return the bytes of memory that this process has, mapped files excluded; Linux only.

    Raises:
        JaxnextError: the system does not say.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("RssAnon:")).split()[1])
    except (OSError, StopIteration) as error:
        raise JaxnextError("/proc/self/status: expected a line RssAnon, as Linux has it, found none") from error


def _shown(name: str, value: float) -> str:
    return f"{value / 2**20:,.0f} MiB" if name.endswith("_bytes") else f"{value:,.3f}"


def _listing(images: int, options: argparse.Namespace, folder: Path, cores: int, say: Say) -> dict[str, Any]:
    from jaxnext.data.class_folders import class_folders
    from jaxnext.data.folder_source import FolderTree

    root = folder / "train"
    for first in range(0, images, _IN_A_FOLDER):
        (root / f"class{first // _IN_A_FOLDER:04d}").mkdir(parents=True)
        for number in range(first, min(first + _IN_A_FOLDER, images)):
            (root / f"class{first // _IN_A_FOLDER:04d}" / f"photograph{number:07d}.jpg").touch()
    found: dict[str, Any] = {}
    # A folder that has changed within the tick of a coarse clock is not trusted to its index.
    threading.Event().wait(_SETTLE_SECONDS)
    for name in ("first", "again"):
        begin = time.perf_counter()
        with _most() as most:
            tree = FolderTree(root, folder / "index")
            source = class_folders(tree)
            tree.keep()
        found |= {f"{name}_seconds": time.perf_counter() - begin, f"{name}_anonymous_bytes": most[0]}
        assert len(source) == images
        del source, tree
    return found | {"index_file_bytes": sum(path.stat().st_size for path in (folder / "index").iterdir())}


def _cache(images: int, options: argparse.Namespace, folder: Path, cores: int, say: Say) -> dict[str, Any]:
    from jaxnext.data.cache.decoded import open_cache
    from jaxnext.data.folder_source import class_folder_source
    from jaxnext.data.loader import stream
    from jaxnext.data.order import ShuffledOrder
    from jaxnext.data.pixels import Pixels

    _linked_photographs(folder / "train", images)
    source, pixels = class_folder_source(folder / "train"), Pixels((options.image_size, options.image_size))
    cache, lines = open_cache("disk", folder / "decoded", [source], pixels)
    say(lines[-1])
    found: dict[str, Any] = {}
    for epoch, name in enumerate(("filling", "from_the_cache")):
        schedule = ShuffledOrder(len(source), 0, options.batch_size, epoch + 1, 0)
        begin, start = time.perf_counter(), epoch * schedule.train_steps_per_epoch
        with (
            _most() as most,
            stream(schedule, source, source, pixels, start=start, threads=cores, cache=cache) as batches,
        ):
            read = sum(int(batch.mask.sum()) for batch in batches)
        assert read == images
        cache.flush()
        found |= {f"{name}_anonymous_bytes": most[0], f"{name}_images_per_second": read / (time.perf_counter() - begin)}
        say(f"{name}: done")
    assert cache.stores[0].filled == images
    return found


def _predict(images: int, options: argparse.Namespace, folder: Path, cores: int, say: Say) -> dict[str, Any]:
    from PIL import Image

    from jaxnext.config.sections import Config, DataConfig, ModelConfig
    from jaxnext.engine.checkpoint import Checkpoints, Meta
    from jaxnext.engine.network import network
    from jaxnext.inference.classifier import TrainedClassifier
    from jaxnext.inference.predict import predict_to_csv
    from jaxnext.models.initialisation import initialise
    from jaxnext.tree import PARTS

    config = Config(
        data=DataConfig(image_size=32),
        model=ModelConfig(stage_sizes=(1,), widths=(8,), features=(32,), stem_features=8, groups=2),
    )
    variables = initialise(network(config.model, 2, config.precision, None), 0)
    with Checkpoints(folder / "net") as checkpoints:
        checkpoints.save_model("best", 0, variables, Meta(config, ("a", "b"), PARTS))
    file = folder / "one.png"
    Image.new("RGB", (32, 32), "red").save(file)
    for number in range(images):
        _link(file, folder / "data" / f"{number // _IN_A_FOLDER:04d}" / f"photograph{number:07d}.png")
    say("predicting")
    classifier, begin = TrainedClassifier(folder / "net"), time.perf_counter()
    with _most() as most:
        status = predict_to_csv(
            classifier,
            [folder / "data"],
            folder / "prediction.csv",
            probabilities=False,
            top_k=None,
            batch_size=16,
            workers=0,
            keep_extension=False,
            columns=("image_name", "pred_label"),
            cores=cores,
            say=say,
            warn=say,
            progress=lambda batches, total: batches,
        )
    assert status == 0
    return {"anonymous_bytes": most[0], "images_per_second": images / (time.perf_counter() - begin)}


def _wait(images: int, options: argparse.Namespace, folder: Path, cores: int, say: Say) -> dict[str, Any]:
    import jax

    from benchmarks.photographs import write_photographs
    from jaxnext.config.yaml_text import find_config
    from jaxnext.training.environment import Console, Host, RunEnvironment
    from jaxnext.training.fit import fit

    write_photographs(folder / "train", images)
    write_photographs(folder / "val", options.batch_size, seed=1)
    _, config = find_config(options.config, CONFIGS)
    config = dataclasses.replace(
        config,
        epochs=1,
        batch_size=options.batch_size,
        data=dataclasses.replace(config.data, source="folder", path=str(folder), image_size=options.image_size),
        model=dataclasses.replace(config.model, weights=None, classes=None),
    )
    env = RunEnvironment(Host(jax.devices(), time.perf_counter, cores), Console(say, show_progress=False))
    with _most() as most:
        (record,) = fit(config, folder / "run", False, env).history
    names = ("data_wait_fraction", "images_per_second", "seconds")
    return {name: float(record[name]) for name in names} | {"anonymous_bytes": most[0]}


def _linked_photographs(root: Path, images: int) -> None:
    """So many JPEGs in class folders, of which the first few hundred are different."""
    from benchmarks.photographs import write_photographs

    write_photographs(root, min(images, _DIFFERENT))
    files = sorted(root.rglob("*.jpg"), key=lambda file: file.name)
    for number in range(len(files), images):
        file = files[number % len(files)]
        _link(file, file.with_name(f"{number:05d}.jpg"))


def _link(file: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        to.hardlink_to(file)
    except OSError:  # a file has as many links as it can have, or the file system has none
        to.write_bytes(file.read_bytes())


@contextlib.contextmanager
def _most() -> Iterator[list[int]]:
    """Within it, the most anonymous memory that was seen so far."""
    seen, over = [anonymous_memory()], threading.Event()

    def watch() -> None:
        while not over.wait(_SAMPLE_SECONDS):
            seen[0] = max(seen[0], anonymous_memory())

    thread = threading.Thread(target=watch, name="watch-memory", daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
