"""A training run from its config to its folder."""

import contextlib
import dataclasses
from pathlib import Path

from jaxnext.config.sections import Config
from jaxnext.data.cache.decoded import Cache, open_cache
from jaxnext.data.pixels import Pixels
from jaxnext.data.splits import Splits, load_splits
from jaxnext.engine import parallel, run_folder
from jaxnext.engine.checkpoint import Checkpoints
from jaxnext.engine.network import network
from jaxnext.engine.out_of_memory import out_of_memory
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.folder_lock import locked
from jaxnext.models.check import check_parts
from jaxnext.models.freezing import check_frozen
from jaxnext.models.summary import check_size, summary, variable_shapes
from jaxnext.training.beginning import fingerprints_of, fresh, resumed, tidy, verify, write_description
from jaxnext.training.environment import RunEnvironment
from jaxnext.training.epochs import train_epochs
from jaxnext.training.progress import Progress
from jaxnext.training.run import Run


def fit(config: Config, output: Path, resume: bool, env: RunEnvironment) -> Progress:
    """Train, or go on with a run, until its epochs are done or it is asked to stop.

    Args:
        config: of the run.
        output: folder of the run.
        resume: go on with what the folder holds, or start where it holds nothing.
        env: devices, clock, and so on.

    Returns:
        where the run stands.

    Raises:
        JaxnextError: anything a user can put right, in one sentence; another process that trains into the folder.
    """
    run_folder.check(output, config, resume)
    for logger in config.logger:
        logger.build().check()
    splits = load_splits(config.data, config.seed, env.folders.index, env.folders.tfds)
    classes = class_names(config, splits)
    cache, lines = open_decoded_cache(config, splits, env)
    for line in (*splits.description, *splits.warnings, *lines):
        env.console.say(line)
    for size in config.data.sizes:
        check_parts(network(config.model, len(classes), config.precision), len(classes), size)
    platform = env.host.devices[0].platform
    model = network(config.model, len(classes), config.precision, parallel.AXIS, platform)
    shapes = variable_shapes(model)
    env.console.say(summary(shapes["params"]))
    check_size(shapes["params"], config.model.max_parameters)
    for line in (*check_frozen(config.model, shapes["params"]), *config.optimizer.build().lines(shapes["params"])):
        env.console.say(line)
    # Of several processes the first one writes.
    alone = locked(output, "training into") if env.processes.first else contextlib.nullcontext(lambda: None)
    with (
        alone as check_there,
        Checkpoints(output) as checkpoints,
        out_of_memory(config.batch_size, config.data.final_size),
    ):
        # Another process may have been there since.
        run_folder.check(output, config, resume)
        tidy(checkpoints, env)
        run = Run(config, output, splits, classes, model, checkpoints, env, cache, shapes["params"], check_there)
        goes_on = checkpoints.latest("last") is not None
        state, progress = resumed(run, shapes) if goes_on else fresh(run, shapes)
        if env.processes.count > 1:
            env.processes.assert_equal(fingerprints_of(run, state))
        verified = progress.position == len(run.order) or verify(run)
        if env.processes.first:
            run_folder.start(output, config)
            run.corrupt.begin(goes_on)
            write_description(run)
        with run.monitor.watching(progress.history, goes_on), contextlib.closing(run.writer):
            return train_epochs(run, state, progress, verified)


def open_decoded_cache(config: Config, splits: Splits, env: RunEnvironment) -> tuple[Cache, list[str]]:
    """Return the decoded cache of a run, and lines about it; errors as ``open_cache``."""
    data = config.data
    if data.cache_path is not None and data.cache != "disk":
        raise UsageError(
            f"data.cache_path: expected no value, since data.cache {data.cache} does not read it, found "
            f"{data.cache_path!r}; leave it out, or set --data.cache disk"
        )
    place = env.folders.decoded if data.cache_path is None else Path(data.cache_path)
    if place is None and data.cache == "disk":
        raise UsageError("data.cache_path: expected a folder for data.cache disk, found null")
    cache, lines, host, memory = Cache(), [], env.host, env.host.memory
    for size in data.sizes:
        sources = (splits.train, splits.validation) if size == data.size else (splits.train,)
        pixels = dataclasses.replace(Pixels.of(data), size=size)
        found, said = open_cache(data.cache, place or Path(), sources, pixels, host.boot, memory, host.name)
        cache, lines = Cache((*cache.stores, *found.stores)), [*lines, *said]
        if memory is not None and data.cache == "memory":
            memory -= sum(len(store.source) for store in found.stores) * pixels.bytes
    return cache, lines


def class_names(config: Config, splits: Splits) -> tuple[str, ...]:
    """Return names of the model's outputs: the data's classes, and a number for each output beyond them.

    Raises:
        JaxnextError: more classes in the data than outputs, a single class, or fewer training images than a batch.
    """
    found, wanted = len(splits.classes), config.model.classes
    if wanted is not None and found > wanted:
        raise JaxnextError(
            f"model.classes: expected at least the {found} classes of the data, found {wanted}; "
            f"leave it out, or set --model.classes {found}"
        )
    if max(found, wanted or 0) < 2:
        raise JaxnextError(
            f"data.path {config.data.path}: expected images of at least two classes, found only {splits.classes[0]}"
        )
    if config.batch_size > len(splits.train):
        raise JaxnextError(
            f"batch_size: expected at most the {len(splits.train)} training images, found {config.batch_size}; "
            f"set --batch_size {len(splits.train)} or less"
        )
    return splits.classes + tuple(f"unused_{i}" for i in range(found, wanted or 0))
