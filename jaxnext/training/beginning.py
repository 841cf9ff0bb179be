"""How a run begins: its first state, fresh or from its last checkpoint, and what is checked and written before it."""

import json
from pathlib import Path

import jax
import numpy as np

from jaxnext.config.sections import Config
from jaxnext.data.bad_image import BadImage
from jaxnext.data.pixels import Pixels
from jaxnext.data.verify import check_shards, find_bad_images, share_of
from jaxnext.engine import run_folder
from jaxnext.engine.checkpoint import Checkpoints
from jaxnext.engine.state import TrainState
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.training.environment import RunEnvironment
from jaxnext.training.fingerprints import fingerprints
from jaxnext.training.initial_weights import complete, load_weights
from jaxnext.training.processes import Fingerprint
from jaxnext.training.progress import Progress
from jaxnext.training.run import Run
from jaxnext.training.saving import model_of, rest_of, with_rest
from jaxnext.types import Variables


def fresh(run: Run, shapes: Variables) -> tuple[TrainState, Progress]:
    """Return the state and progress of a new run, from ``model.weights`` where that is given."""
    config, console = run.config, run.env.console
    variables, lines = shapes, ["weights: newly initialised"]
    if config.model.weights is not None:
        folder = Path(config.model.weights)
        variables, lines = load_weights(folder, shapes, run.classes, console.port_command, config.model)
    for line in lines:
        console.say(line)
    variables = complete(run.model, variables, config.seed)
    progress = Progress(run.schedule.start(config.optimizer["learning_rate"]))
    state = run.new_state(variables, run.learning_rate(progress), 0)
    return run.steps.replicate(state), progress


def resumed(run: Run, shapes: Variables) -> tuple[TrainState, Progress]:
    """Return the state and progress of the newest checkpoint ``last`` that is whole.

    Raises:
        UsageError: the run has begun more epochs than the config has, or their number decides the learning rates
            or which were to be mixed.
        JaxnextError: the data or its classes are no longer those of the run.
    """
    # At the border of two phases the state is still that of the first.
    epochs = max((run.checkpoints.latest("last") or 0) - 1, 0) // run.order.batches_per_epoch
    expected = jax.eval_shape(lambda variables: run.new_state(variables, 1.0, epochs), shapes)
    variables, rest, saved, meta = run.checkpoints.restore_last(rest_of(expected))
    progress = Progress.from_json(saved["progress"])
    done, found = len(progress.history), run.data()
    if progress.position > len(run.order):
        epochs = done + (progress.position % run.order.batches_per_epoch > 0)
        raise UsageError(f"epochs: expected at least the {epochs} that this run has begun, found {run.config.epochs}")
    _check_length(run, meta.config.epochs)
    begun = -(-run.train_steps_before(progress.position) // run.order.train_steps_per_epoch)
    check_mixed(meta.config, run.config, begun)
    if saved["data"] != found or meta.classes != run.classes:
        raise JaxnextError(
            f"{run.output}: the data has changed since this run began: expected {saved['data']} and classes "
            f"{list(meta.classes or ())}, found {found} and classes {list(run.classes)}"
        )
    state = with_rest(run.new_state(variables, run.learning_rate(progress), epochs), rest)
    state = state._replace(step=np.int32(run.train_steps_before(progress.position)))
    run.env.console.say(f"resuming after epoch {done}, batch {progress.position} of the run")
    return run.steps.replicate(state), progress


def tidy(checkpoints: Checkpoints, env: RunEnvironment) -> None:
    """Have damaged and half-written checkpoints out of the way; of several processes the first does it, all wait."""
    if env.processes.first:
        checkpoints.remove_leftovers()
        for line in checkpoints.set_aside_damaged():
            env.warn(line)
    env.processes.barrier()
    if not env.processes.first:
        checkpoints.look_again()


def _check_length(run: Run, before: int) -> None:
    """Refuse another number of epochs than ``before`` where the schedule depends on it and is not to be stretched."""
    epochs, schedule = run.config.epochs, run.config.schedule
    if epochs != before and schedule.options.get("stretch") is False:
        raise UsageError(
            f"epochs: expected the {before} that this run was begun with, since every learning rate of the schedule "
            f"{schedule.type} depends on their number, found {epochs}; with --schedule.stretch true it goes on at the "
            "rates that a run of the new length has there"
        )


def check_mixed(before: Config, now: Config, begun: int) -> None:
    """Refuse to go on where epochs that are begun would have been mixed or not mixed otherwise.

    Args:
        before: config of the run so far.
        now: that it would go on with.
        begun: epochs.

    Raises:
        UsageError: says which ``mix.off_epochs`` suits.
    """
    if not now.mix.on:
        return
    mixed, would_be = (min(begun, config.epochs - config.mix.off_epochs) for config in (before, now))
    if mixed != would_be:
        suits = f"{now.epochs - mixed}" if mixed < begun else f"at most {now.epochs - mixed}"
        raise UsageError(
            f"mix.off_epochs: expected {suits}, since of the {begun} epochs that this run has begun the first {mixed} "
            f"are mixed, found {now.mix.off_epochs} of {now.epochs} epochs"
        )


def verify(run: Run) -> bool:
    """Look at every image where ``data.verify`` asks for it, each process at its share of them.

    Returns:
        false where it was asked to stop meanwhile.

    Raises:
        JaxnextError: some cannot be read, and the run is not to go on without them; or a packed shard is damaged.
    """
    if not run.config.data.verify:
        return True
    sources, processes = (run.splits.train, run.splits.validation), run.processes
    check_shards(sources, processes.index, processes.count, run.env.stop)
    own = [share_of(source, processes.index, processes.count) for source in sources]
    with run.bar("verifying", sum(map(len, own))) as bar:
        pixels, cores = Pixels.of(run.config.data), run.env.host.cores
        found = find_bad_images(own, pixels, run.cache, cores, bar.update, run.env.stop)
    run.cache.flush()
    parts = [json.loads(text) for text in processes.allgather(json.dumps(found))]
    if None in parts:
        return False
    bad, images = [BadImage(*entry) for part in parts for entry in part], sum(map(len, sources))
    run.corrupt.verified(bad, images)
    run.env.console.say(f"verified {images:,} images: {len(bad):,} cannot be read")
    return True


def write_description(run: Run) -> None:
    """Write ``run.json``: versions, commit, devices, counts of the data."""
    host, splits = run.env.host, run.splits
    description = {
        **host.versions,
        "devices": [device.device_kind for device in host.devices],
        "platform": host.devices[0].platform,
        "processes": run.processes.count,
        "train_images": len(splits.train),
        "val_images": len(splits.validation),
        "classes": list(run.classes),
    }
    run_folder.write_json(run.output / "run.json", description)


def fingerprints_of(run: Run, state: TrainState) -> list[Fingerprint]:
    """Return what every process of the run must have found alike."""
    weights = {**model_of(state), "optimizer": jax.tree.map(np.asarray, rest_of(state))}
    checkpoint, versions = run.checkpoints.latest("last"), run.env.host.versions
    return fingerprints(run.config, run.output, versions, checkpoint, run.data(), run.classes, weights)
