"""``benchmark.py footprint``: memory and waits at full size, without PyTorch.

    listing   a folder of so many files, listed first and again with its index
    cache     two epochs at 512x512 from so many JPEGs through the cache on disk: the first fills it
    predict   a tiny net on so many tiny images
    wait      an epoch of training at 512x512 on so many JPEGs

Anonymous memory is what the process itself takes, mapped files excluded; the most that was seen is reported. Where many
files are needed they are links to a few, which is the same to whoever reads them.
"""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import jax
from PIL import Image

from benchmarks.photographs import write_photographs
from benchmarks.timing import Clock
from jaxnext.config.sections import Config, DataConfig, ModelConfig
from jaxnext.data.cache.decoded import open_cache
from jaxnext.data.folder_index import FolderIndex
from jaxnext.data.folder_source import class_folder_source
from jaxnext.data.loader import stream
from jaxnext.data.order import ShuffledOrder
from jaxnext.engine.checkpoint import Checkpoints, Meta
from jaxnext.engine.network import network
from jaxnext.inference.classifier import TrainedClassifier
from jaxnext.inference.predict import predict_to_csv
from jaxnext.models.initialisation import PARTS, initialise
from jaxnext.training.environment import Console, Host, RunEnvironment
from jaxnext.training.fit import fit

Part = Literal["listing", "cache", "predict", "wait"]
IMAGES: dict[Part, int] = {"listing": 300_000, "cache": 21_000, "predict": 100_000, "wait": 64}
"""How many where none are asked for."""
_DIFFERENT = 512
_IN_A_FOLDER = 1000
_SAMPLE_SECONDS = 0.02
_SETTLE_SECONDS = 3.0


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured."""

    part: Part
    images: int
    config: Config
    """of the network that ``wait`` trains; its image and batch size are also those of ``cache``"""


@dataclasses.dataclass(frozen=True)
class Process:
    """What is read of the process and the machine around."""

    clock: Clock
    cores: int
    memory: Callable[[], int]
    """bytes of anonymous memory now"""


def run(options: Options, folder: Path, process: Process, say: Callable[[str], None]) -> dict[str, Any]:
    """Measures one part, whose files go into ``folder``; returns the result as JSON has it."""
    say(f"{options.part}: writing {options.images:,} files")
    part = {"listing": _listing, "cache": _cache, "predict": _predict, "wait": _wait}[options.part]
    return {
        "command": "footprint",
        "part": options.part,
        "images": options.images,
        **part(options, folder, process, say),
    }


def table(result: dict[str, Any]) -> str:
    """The result for readers, a line a figure."""
    return "\n".join(f"{name.replace('_', ' ')}: {_shown(name, value)}" for name, value in result.items())


def _shown(name: str, value: Any) -> str:
    if name.endswith("_bytes"):
        return f"{value / 2**20:,.0f} MiB"
    return f"{value:,.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _listing(options: Options, folder: Path, process: Process, say: Callable[[str], None]) -> dict[str, Any]:
    root = folder / "train"
    for first in range(0, options.images, _IN_A_FOLDER):
        (root / f"class{first // _IN_A_FOLDER:04d}").mkdir(parents=True)
        for number in range(first, min(first + _IN_A_FOLDER, options.images)):
            (root / f"class{first // _IN_A_FOLDER:04d}" / f"photograph{number:07d}.jpg").touch()
    del say
    found: dict[str, Any] = {}
    # A folder that has changed within the tick of a coarse clock is not trusted to its index.
    threading.Event().wait(_SETTLE_SECONDS)
    for name in ("first", "again"):
        begin = process.clock()
        with _most(process) as most:
            index = FolderIndex(folder / "index", root)
            source = class_folder_source(root, index=index)
            index.save()
        found |= {f"{name}_seconds": process.clock() - begin, f"{name}_anonymous_bytes": most[0]}
        assert len(source) == options.images
        del source, index
    return found | {"index_file_bytes": sum(path.stat().st_size for path in (folder / "index").iterdir())}


def _cache(options: Options, folder: Path, process: Process, say: Callable[[str], None]) -> dict[str, Any]:
    _linked_photographs(folder / "train", options.images)
    source, size = class_folder_source(folder / "train"), options.config.data.image_size
    cache, lines = open_cache("disk", folder / "decoded", [source], size)
    say(lines[-1])
    found: dict[str, Any] = {}
    for epoch, name in enumerate(("filling", "from_the_cache")):
        schedule = ShuffledOrder(len(source), 0, options.config.batch_size, epoch + 1, 0)
        begin, start = process.clock(), epoch * schedule.train_steps_per_epoch
        with (
            _most(process) as most,
            stream(schedule, source, source, size, start=start, threads=process.cores, cache=cache) as batches,
        ):
            images = sum(int(batch.mask.sum()) for batch in batches)
        assert images == options.images
        cache.flush()
        found |= {f"{name}_anonymous_bytes": most[0], f"{name}_images_per_second": images / (process.clock() - begin)}
        say(f"{name}: done")
    assert cache.stores[0].filled == options.images
    return found


def _predict(options: Options, folder: Path, process: Process, say: Callable[[str], None]) -> dict[str, Any]:
    config = Config(
        data=DataConfig(image_size=32),
        model=ModelConfig(stage_sizes=(1,), widths=(8,), features=(32,), stem_features=8, groups=2),
    )
    variables = initialise(network(config.model, 2, config.precision, None), 0)
    with Checkpoints(folder / "net") as checkpoints:
        checkpoints.save_model("best", 0, variables, Meta(config, ("a", "b"), PARTS))
    file = folder / "one.png"
    Image.new("RGB", (32, 32), "red").save(file)
    for number in range(options.images):
        _link(file, folder / "data" / f"{number // _IN_A_FOLDER:04d}" / f"photograph{number:07d}.png")
    say("predicting")
    classifier, begin = TrainedClassifier(folder / "net"), process.clock()
    with _most(process) as most:
        status = predict_to_csv(
            classifier,
            [folder / "data"],
            folder / "prediction.csv",
            probabilities=False,
            top_k=None,
            batch_size=16,
            workers=0,
            keep_extension=False,
            cores=process.cores,
            say=say,
            warn=say,
            progress=lambda batches, total: batches,
        )
    assert status == 0
    return {"anonymous_bytes": most[0], "images_per_second": options.images / (process.clock() - begin)}


def _wait(options: Options, folder: Path, process: Process, say: Callable[[str], None]) -> dict[str, Any]:
    write_photographs(folder / "train", options.images)
    write_photographs(folder / "val", options.config.batch_size, seed=1)
    data = dataclasses.replace(options.config.data, path=str(folder))
    model = dataclasses.replace(options.config.model, weights=None)
    config = dataclasses.replace(options.config, epochs=1, data=data, model=model)
    env = RunEnvironment(Host(jax.devices(), process.clock, process.cores), Console(say, show_progress=False))
    with _most(process) as most:
        (record,) = fit(config, folder / "run", False, env).history
    names = ("data_wait_fraction", "images_per_second", "seconds")
    return {name: float(record[name]) for name in names} | {"anonymous_bytes": most[0]}


def _linked_photographs(root: Path, count: int) -> None:
    """So many JPEGs in class folders, of which the first few hundred are different."""
    write_photographs(root, min(count, _DIFFERENT))
    files = sorted(root.rglob("*.jpg"), key=lambda file: file.name)
    for number in range(len(files), count):
        file = files[number % len(files)]
        _link(file, file.with_name(f"{number:05d}.jpg"))


def _link(file: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        to.hardlink_to(file)
    except OSError:  # a file has as many links as it can have, or the file system has none
        to.write_bytes(file.read_bytes())


@contextlib.contextmanager
def _most(process: Process) -> Iterator[list[int]]:
    """Within it, the most anonymous memory that was seen so far."""
    seen, over = [process.memory()], threading.Event()

    def watch() -> None:
        while not over.wait(_SAMPLE_SECONDS):
            seen[0] = max(seen[0], process.memory())

    thread = threading.Thread(target=watch, name="watch-memory", daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
