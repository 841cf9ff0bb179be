"""A data set of coloured images and a net small enough to learn it in seconds, for the tests of whole runs."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flat_config import model_config
from PIL import Image

from jaxnext.config.sections import AUGMENTATIONS, OPTIMIZERS, Config, DataConfig, ModelConfig
from jaxnext.config.training import CheckpointConfig
from jaxnext.engine.checkpoint import Checkpoints
from jaxnext.training.environment import Console, Folders, Host, RunEnvironment
from jaxnext.training.fit import fit
from jaxnext.training.progress import Progress

EVERY_THIRD = CheckpointConfig(every_epochs=3)
"""Of the shared run."""

CLASSES = tuple(sorted(str(i) for i in range(12)))
"""'0', '1', '10', '11', '2', ...: sorted as strings."""


def colour(name: str) -> np.ndarray:
    """The colour of a class: twelve corners and edges of the RGB cube."""
    levels = list(itertools.product((30, 128, 225), repeat=3))
    return np.array(levels[2 * int(name)])


def picture(name: str, number: int) -> Image.Image:
    """A noisy 24x20 image of a class."""
    random = np.random.default_rng([int(name), number])
    return Image.fromarray(np.clip(colour(name) + random.normal(0, 8, (20, 24, 3)), 0, 255).astype(np.uint8))


def write_images(root: Path, counts: dict[str, int]) -> Path:
    """JPEGs in class folders under each split of ``counts``; ``test`` is flat, its files named by their class."""
    for split, count in counts.items():
        for name in CLASSES:
            folder = root / split if split == "test" else root / split / name
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(count):
                file = folder / (f"class{name}_{i}.jpg" if split == "test" else f"{i}.jpg")
                picture(name, i + 100 * list(counts).index(split)).save(file, quality=95)
    return root


def config(path: Path, **changes: Any) -> Config:
    """An fc_cbam setting that learns the colours in a few epochs.

    With seeds 0 to 11 it got all 24 validation images right; as rounding differs between processors and a short run
    amplifies it, no test asks for more than most of them.
    """
    base = Config(
        epochs=4,
        batch_size=10,
        data=DataConfig(path=str(path), image_size=16),
        augment=(AUGMENTATIONS.choose("original", brightness=0.0, contrast=0.0, saturation=0.0),),
        model=model_config(
            stage_sizes=(1,),
            widths=(8,),
            features=(32,),
            stem_features=8,
            groups=2,
            attention="cbam",
            reduction=4,
            head="fc",
            head_widths=(128, 64),
            dropout=0.1,
        ),
        optimizer=OPTIMIZERS.choose("adam", learning_rate=1e-2),
    )
    return dataclasses.replace(base, **changes)


def plain(config: Config) -> Config:
    """The setting without an attention and with a linear head, for tests of which the net is not the point."""
    empty = ModelConfig()
    return dataclasses.replace(
        config, model=dataclasses.replace(config.model, attention=empty.attention, head=empty.head)
    )


def run_env(
    stop: Callable[[], bool] = lambda: False,
    lines: list[str] | None = None,
    devices: int = 1,
    host: Mapping[str, Any] | None = None,
    console: Mapping[str, Any] | None = None,
    **folders: Any,
) -> RunEnvironment:
    """One CPU device, a clock that counts its calls, and the lines said collected."""
    ticks = itertools.count()
    said = lines if lines is not None else []
    return RunEnvironment(
        Host(**({"devices": jax.devices()[:devices], "clock": lambda: next(ticks) / 8, "cores": 2} | dict(host or {}))),
        Console(said.append, show_progress=False, **(console or {})),
        Folders(**folders),
        stop,
    )


def stop_after(calls: int) -> Callable[[], bool]:
    """Answers no so many times, then yes."""
    count = itertools.count(1)
    return lambda: next(count) > calls


def train(
    output: Path, data: Path, resume: bool = False, env: RunEnvironment | None = None, **changes: Any
) -> Progress:
    """Fit ``config(data, **changes)`` into ``output``."""
    return fit(config(data, **changes), output, resume, env or run_env())


TRAIN_STEPS, VAL_STEPS = 10, 3
"""Batches of an epoch of the 96 training images and 24 validation images of the fixture ``images``."""


def metrics(output: Path) -> list[dict[str, Any]]:
    """The records of ``metrics.jsonl``."""
    return [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]


def model_of(output: Path, kind: str = "last") -> Any:
    """Variables and meta of a checkpoint."""
    with Checkpoints(output) as checkpoints:
        return checkpoints.restore_model(kind)


def assert_same_model(a: Path, b: Path) -> None:
    """Two runs have the same best and last weights, to the bit."""
    for kind in ("best", "last"):
        jax.tree.map(np.testing.assert_array_equal, model_of(a, kind)[0], model_of(b, kind)[0])


def without_times(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records without what depends on the clock."""
    times = ("images_per_second", "data_wait_fraction", "seconds")
    return [{name: value for name, value in record.items() if name not in times} for record in records]


def data(path: Path, **changes: Any) -> dict[str, DataConfig]:
    """The ``data`` section with some changes, for ``config``."""
    return {"data": dataclasses.replace(config(path).data, **changes)}


def fit_with(
    output: Path,
    path: Path,
    lines: list[str],
    resume: bool = False,
    stop: Callable[[], bool] = lambda: False,
    epochs: int = 2,
    **changes: Any,
) -> Progress:
    """Fit with some changes of the ``data`` section."""
    return fit(config(path, epochs=epochs, **data(path, **changes)), output, resume, run_env(stop, lines))


def spoiled(folder: Path, *names: str) -> Path:
    """The small data set with files that are no images."""
    path = write_images(folder, {"train": 2, "val": 1})
    for name in names:
        (path / name).write_bytes(b"not a picture")
    return path
