"""What a training run consists of, and what its phases ask of it."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from jaxnext.config.sections import Config, MixConfig
from jaxnext.data.balance import balanced
from jaxnext.data.cache.decoded import Cache
from jaxnext.data.class_weights import class_weights
from jaxnext.data.image_source import fingerprint
from jaxnext.data.order import ShuffledOrder
from jaxnext.data.splits import Splits
from jaxnext.engine.checkpoint import Checkpoints
from jaxnext.engine.schedule import Length, Schedule
from jaxnext.engine.state import TrainState, create
from jaxnext.errors import JaxnextError
from jaxnext.mix import Mix
from jaxnext.models.classifier import Classifier
from jaxnext.training.compiled_steps import CompiledSteps
from jaxnext.training.corrupt import CorruptImages
from jaxnext.training.due import Due
from jaxnext.training.environment import RunEnvironment
from jaxnext.training.monitor import Monitor
from jaxnext.training.phases import optimizer_of
from jaxnext.training.progress import Progress
from jaxnext.training.time_limit import TimeLimit
from jaxnext.training.writer import Writer
from jaxnext.types import Variables

REMEDY = "try a smaller --optimizer.learning_rate"
"""What a user can do where numbers are not finite."""


class Run:
    """The parts of a run. What changes on the way is the state and the progress, which its phases hand on."""

    def __init__(
        self,
        config: Config,
        output: Path,
        splits: Splits,
        classes: tuple[str, ...],
        model: Classifier,
        checkpoints: Checkpoints,
        env: RunEnvironment,
        cache: Cache,
        params: Mapping[str, Any],
        check_there: Callable[[], None],
    ) -> None:
        """Take the parts; ``check_there`` raises a ``JaxnextError`` once the folder is no longer there."""
        self.config, self.output, self.splits, self.classes = config, output, splits, classes
        self.model, self.checkpoints, self.env, self.cache = model, checkpoints, env, cache
        self.processes, self.check_there = env.processes, check_there
        self.corrupt = CorruptImages(config.data.on_corrupt == "skip", output, env.warn)
        self.optimizer = optimizer_of(config, params)
        self.schedule: Schedule = config.schedule.build()
        given = config.loss.options.get("class_weights", "none")
        weights = class_weights(given, splits.classes, len(classes), splits.train.labels)
        loss = config.loss.build(weights=weights)
        balance = balanced(config.data.balance, splits.train.labels)
        images = len(splits.train if balance is None else balance)
        self.order = ShuffledOrder(
            images, len(splits.validation), config.batch_size, config.epochs, config.seed, balance
        )
        per_epoch = self.order.train_steps_per_epoch
        mix = mix_of(config.mix, Length(config.epochs, per_epoch)) if config.mix.on else None
        self.steps = CompiledSteps(config, model, self.optimizer, env.host.devices, loss, mix, per_epoch)
        self.monitor = Monitor(config, output, classes, model, params, self.steps, env)
        accumulation = self.steps.accumulation
        self.length = Length(config.epochs, per_epoch if accumulation is None else accumulation.updates_per_epoch)
        self.due = Due(config.checkpoint, env.host.clock, env.saves_asked)
        self.writer = Writer()
        self.limit = TimeLimit(config.training.hours, env.host.clock, env.processes)

    def stopping(self) -> bool:
        """Return whether to save and end now. Several processes have carried it in their last step, to answer alike."""
        if self.processes.count > 1:
            return self.processes.stopping or self.limit.reached
        return self.env.stop() or self.limit.passed()

    def asked(self) -> bool:
        """Return whether this one of several processes is to stop; the next step carries it to the others."""
        return self.processes.count > 1 and (self.env.stop() or self.limit.passed())

    def new_state(self, variables: Variables, learning_rate: float, epochs: int) -> TrainState:
        """Return a state before the first step, with the optimizer's state as it is after so many epochs."""
        return create(
            variables,
            self.optimizer,
            learning_rate,
            self.config.seed,
            frozen=self.config.model.frozen(epochs),
            accumulates=self.steps.recipe.accumulation is not None,
            averages=self.steps.recipe.average is not None,
        )

    def train_steps_before(self, position: int) -> int:
        """Return the number of training steps among the first batches of the run."""
        epochs, offset = divmod(position, self.order.batches_per_epoch)
        per_epoch = self.order.train_steps_per_epoch
        return epochs * per_epoch + min(offset, per_epoch)

    def learning_rate(self, progress: Progress) -> float:
        """Return the rate of the training step at a position, or of the last one before it in validation."""
        done = self.train_steps_before(progress.position)
        within = progress.position % self.order.batches_per_epoch < self.order.train_steps_per_epoch
        return self.rate(progress, done if within else done - 1)

    def rate(self, progress: Progress, step: int) -> float:
        """Return the rate of a training step of the epoch in which ``progress`` is; a schedule counts updates."""
        accumulation = self.steps.accumulation
        updates = step if accumulation is None else accumulation.updates_before(step)
        return self.schedule.rate(progress.schedule, updates, self.length)

    def data(self) -> dict[str, int | str]:
        """Return what the data of this run is known by."""
        train, validation = self.splits.train, self.splits.validation
        return {
            "training images": len(train),
            "validation images": len(validation),
            "names and labels": f"{fingerprint(train)[:16]} {fingerprint(validation)[:16]}",
        }

    def bar(self, title: str, total: int, initial: int = 0) -> Any:
        """Return a progress bar over images, on stderr."""
        show = self.env.console.show_progress
        disable = None if show is None else not show
        return tqdm(
            desc=title, total=total, initial=initial, unit="img", leave=False, disable=disable, dynamic_ncols=True
        )

    def check_finite(self, name: str, value: float, place: str, progress: Progress) -> None:
        """Stop the run where a loss is infinite or not a number.

        Args:
            name: of what is checked.
            value: that should be finite.
            place: where in the run it was found.
            progress: of which it has the learning rate.

        Raises:
            JaxnextError: it is not finite; says what to try.
        """
        if math.isfinite(value):
            return
        raise JaxnextError(
            f"the {name} is {value} in {place}, at learning rate {self.learning_rate(progress):g}; {self.kept()}; "
            + REMEDY
        )

    def kept(self) -> str:
        """Say what a run that cannot go on has left."""
        kept = self.checkpoints.latest("last") is not None
        return f"the last good checkpoint is kept in {self.output}" if kept else "no checkpoint was made yet"


def mix_of(config: MixConfig, length: Length) -> Mix:
    """Return what draws the mixing of each batch of a run."""
    steps = (length.epochs - config.off_epochs) * length.steps_per_epoch
    return Mix(config.mixup, config.cutmix, config.probability, config.switch, steps)
