"""One training run at work: its phases, and what they save and show."""

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

from jaxnext.config.sections import Config
from jaxnext.data.bad_image import BadImage
from jaxnext.data.balance import balanced
from jaxnext.data.cache.decoded import Cache
from jaxnext.data.image_source import fingerprint
from jaxnext.data.loader import HostBatch, default_workers, stream
from jaxnext.data.order import BatchPlan, ShuffledOrder
from jaxnext.data.splits import Splits
from jaxnext.data.verify import check_shards, find_bad_images, share_of
from jaxnext.engine import run_folder
from jaxnext.engine.checkpoint import Checkpoints, Meta
from jaxnext.engine.pipeline import DataWait, pipelined
from jaxnext.engine.schedule import Length, Schedule
from jaxnext.engine.state import TrainState, create
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.metrics import Accumulator
from jaxnext.models.classifier import Classifier
from jaxnext.training.compiled_steps import CompiledSteps, variables_of
from jaxnext.training.corrupt import CorruptImages
from jaxnext.training.environment import RunEnvironment
from jaxnext.training.fingerprints import fingerprints
from jaxnext.training.initial_weights import PARTS, complete, load_weights
from jaxnext.training.processes import Fingerprint
from jaxnext.training.progress import Progress, Record
from jaxnext.types import Variables


class Run:
    """One run at work. Its methods are the phases; what they change is the state and the progress they return."""

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
    ) -> None:
        self.config, self.output, self.splits, self.classes = config, output, splits, classes
        self.model, self.checkpoints, self.env = model, checkpoints, env
        self.cache = cache
        self.given_up = False
        self.processes = env.processes
        # Of several processes the first one speaks.
        warn = (env.console.warn or env.console.say) if self.processes.first else lambda line: None
        self.corrupt = CorruptImages(config.data.on_corrupt == "skip", output, warn)
        self.optimizer: optax.GradientTransformation = config.optimizer.build().transformation()
        self.schedule: Schedule = config.schedule.build()
        self.programs = CompiledSteps(config, model, self.optimizer, env.host.devices)
        balance = balanced(config.data.balance, splits.train.labels)
        images = len(splits.train if balance is None else balance)
        self.order = ShuffledOrder(
            images, len(splits.validation), config.batch_size, config.epochs, config.seed, balance
        )
        self.length = Length(config.epochs, self.order.train_steps_per_epoch)

    # Beginnings

    def verify(self) -> None:
        """Where it is asked for, look at every image before anything is computed, each process at its share of them.

        Raises:
            JaxnextError: some cannot be read, and the run is not to go on without them; or a packed shard is damaged.
        """
        if not self.config.data.verify:
            return
        sources = (self.splits.train, self.splits.validation)
        check_shards(sources, self.processes.index, self.processes.count, self.env.stop)
        own = [share_of(source, self.processes.index, self.processes.count) for source in sources]
        with self.bar("verifying", sum(map(len, own)), 0) as bar:
            size, cores = self.config.data.image_size, self.env.host.cores
            found = find_bad_images(own, size, self.cache, cores, bar.update, self.env.stop)
        self.cache.flush()
        parts = [json.loads(text) for text in self.processes.allgather(json.dumps(found))]
        self.given_up = None in parts
        if not self.given_up:
            bad, images = [BadImage(*entry) for part in parts for entry in part], sum(map(len, sources))
            self.corrupt.verified(bad, images)
            self.env.console.say(f"verified {images:,} images: {len(bad):,} cannot be read")

    def fresh(self, shapes: Variables) -> tuple[TrainState, Progress]:
        """The state of a new run, from ``model.weights`` where that is given."""
        variables, lines = shapes, ["weights: newly initialised"]
        if self.config.model.weights is not None:
            variables, lines = load_weights(
                Path(self.config.model.weights), shapes, self.classes, self.env.console.port_command
            )
        for line in lines:
            self.env.console.say(line)
        variables = complete(self.model, variables, self.config.seed)
        progress = Progress(self.schedule.start(self.config.optimizer["learning_rate"]))
        state = create(variables, self.optimizer, self.learning_rate(progress), self.config.seed)
        return self.programs.replicate(state), progress

    def resumed(self, shapes: Variables) -> tuple[TrainState, Progress]:
        """The state and progress of the newest checkpoint ``last``."""
        moments = jax.eval_shape(self.optimizer.init, shapes["params"])
        variables, moments, saved, meta = self.checkpoints.restore_last(moments)
        progress = Progress.from_json(saved["progress"])
        done, found = len(progress.history), self.data()
        if progress.position > len(self.order):
            epochs = done + (progress.position % self.order.batches_per_epoch > 0)
            raise UsageError(
                f"epochs: expected at least the {epochs} that this run has begun, found {self.config.epochs}"
            )
        if saved["data"] != found or meta.classes != self.classes:
            raise JaxnextError(
                f"{self.output}: the data has changed since this run began: expected {saved['data']} and classes "
                f"{list(meta.classes or ())}, found {found} and classes {list(self.classes)}"
            )
        state = create(variables, self.optimizer, self.learning_rate(progress), self.config.seed)
        state = state._replace(optimizer=moments, step=np.int32(self._train_steps_before(progress.position)))
        self.env.console.say(f"resuming after epoch {len(progress.history)}, batch {progress.position} of the run")
        return self.programs.replicate(state), progress

    def learning_rate(self, progress: Progress) -> float:
        """Return the rate of the training step at a position, or of the last one before it in validation."""
        done = self._train_steps_before(progress.position)
        within = progress.position % self.order.batches_per_epoch < self.order.train_steps_per_epoch
        return self.schedule.rate(progress.schedule, done if within else done - 1, self.length)

    def _train_steps_before(self, position: int) -> int:
        epochs, offset = divmod(position, self.order.batches_per_epoch)
        per_epoch = self.order.train_steps_per_epoch
        return epochs * per_epoch + min(offset, per_epoch)

    def write_description(self) -> None:
        """``run.json``: versions, commit, devices, counts of the data."""
        description = {
            **self.env.host.versions,
            "devices": [device.device_kind for device in self.env.host.devices],
            "platform": self.env.host.devices[0].platform,
            "processes": self.processes.count,
            "train_images": len(self.splits.train),
            "val_images": len(self.splits.validation),
            "classes": list(self.classes),
        }
        run_folder.write_json(self.output / "run.json", description)

    def fingerprints(self, state: TrainState) -> list[Fingerprint]:
        """What every process of the run must have found alike."""
        weights = {**self.model_of(state), "optimizer": jax.tree.map(np.asarray, state.optimizer)}
        checkpoint = self.checkpoints.latest("last")
        versions = self.env.host.versions
        return fingerprints(self.config, self.output, versions, checkpoint, self.data(), self.classes, weights)

    # Epochs

    def stopping(self) -> bool:
        """Whether to save and end now. Several processes have carried it in their last step, to answer alike."""
        return self.processes.stopping if self.processes.count > 1 else self.env.stop()

    def asked(self) -> bool:
        """Whether this one of several processes was asked to stop; the next step carries it to the others."""
        return self.processes.count > 1 and self.env.stop()

    def go(self, state: TrainState, progress: Progress) -> Progress:
        """Epoch after epoch to the end of the run, or until asked to stop."""
        if progress.history:
            # A run that was killed between its last checkpoint and these files has them again.
            self.write_history(progress)
        if progress.position < len(self.order) and not self.given_up:
            compilation = self.programs.compile(state, self.env.compilation_cache, self.env.host.clock)
            self.env.console.say(compilation)
            self.env.host.step_memory(self.programs.temporary_memory())
            self.processes.barrier()
            while progress.position < len(self.order) and not self.stopping():
                state, progress = self.epochs(state, progress)
        if progress.position < len(self.order):
            self.corrupt.share(self.processes)
            self.save_last(state, progress)
            self.cache.flush()
            self.processes.barrier()
            self.env.console.say(f"stopped and saved; go on with: {self.env.console.resume_command}")
        else:
            best = max(progress.history, key=lambda record: record["val_accuracy"])
            self.env.console.say(
                f"done: best validation accuracy {best['val_accuracy']:.2%} in epoch {best['epoch']}; "
                f"checkpoints, metrics and curves are in {self.output}{self.corrupt.summary()}"
            )
        return progress

    def workers(self) -> int:
        """Worker processes: as many as are asked for, or as suit the machine and what the cache holds by now."""
        if self.config.workers is not None:
            return self.config.workers
        return default_workers(self.env.host.cores, self.splits.train, self.cache)

    def epochs(self, state: TrainState, progress: Progress) -> tuple[TrainState, Progress]:
        """Epochs up to the last, a stop, or one after which another number of workers suits."""
        workers = self.workers()
        with stream(
            self.order,
            self.splits.train,
            self.splits.validation,
            self.config.data.image_size,
            start=progress.position,
            workers=workers,
            threads=self.env.host.cores,
            cache=self.cache,
            rows=self.programs.own_rows,
        ) as batches:
            while True:
                state, progress = self.epoch(state, progress, iter(batches))
                over = progress.position == len(self.order)
                if over or self.workers() != workers or self.stopping():
                    return state, progress

    def epoch(self, state: TrainState, progress: Progress, batches: Iterator[HostBatch]) -> tuple[TrainState, Progress]:
        """What is left of one epoch. Asked to stop, it returns early with a position inside the epoch."""
        plan = self.order.locate(progress.position)
        if plan.training:
            state, progress = self.train(state, progress, batches, plan)
            if self.stopping():
                return state, progress
        begin, wait = self.env.host.clock(), DataWait(self.env.host.clock, progress.data_wait)
        validation = self.validate(state, progress, batches, wait)
        if validation is None:
            return state, progress
        seconds = progress.seconds + self.env.host.clock() - begin
        return self.finish_epoch(state, progress, validation, seconds, wait.seconds)

    def train(
        self, state: TrainState, progress: Progress, batches: Iterator[HostBatch], plan: BatchPlan
    ) -> tuple[TrainState, Progress]:
        """The training steps from ``plan`` to the end of its epoch."""
        sums = Accumulator(progress.sums)
        clock, begin = self.env.host.clock, self.env.host.clock()
        wait, done = DataWait(clock, progress.data_wait), 0
        pending: Any = None
        rate: float | None = None
        title = f"epoch {plan.epoch}/{self.config.epochs}"

        def so_far() -> Progress:
            return dataclasses.replace(
                progress,
                position=progress.position + done,
                sums=sums.sums,
                seconds=progress.seconds + clock() - begin,
                data_wait=wait.seconds,
            )

        first = (plan.step % self.order.train_steps_per_epoch) * self.config.batch_size
        with self.bar(title, self.order.train_size, first) as bar:
            while True:
                try:
                    host = wait.fetch(batches, pending and pending[1])
                    self.corrupt.record(host.errors)
                except JaxnextError:
                    self.count(pending, sums, bar, progress)
                    self.save_what_is_done(state, so_far())
                    raise
                if (wanted := self.schedule.rate(progress.schedule, plan.step, self.length)) != rate:
                    rate = wanted
                    leaf = jnp.asarray(rate, state.learning_rate.dtype)
                    state = state._replace(learning_rate=self.programs.replicate(leaf))
                state, step_sums = self.programs.train(state, host, plan.step, self.asked())
                self.count(pending, sums, bar, progress)
                pending, done = (plan, step_sums, len(plan.ids) - len(host.errors)), done + 1
                if plan.last or self.stopping():
                    break
                plan = self.order.locate(plan.index + 1)
            self.count(pending, sums, bar, progress)
        return state, so_far()

    def count(self, pending: Any, sums: Accumulator, bar: Any, progress: Progress) -> None:
        """Wait for a step's sums, add them up, and stop the run where its loss is not finite."""
        if pending is None:
            return
        plan, step_sums, images = pending
        loss = sums.add(self.processes.note(step_sums))
        if not math.isfinite(loss):
            raise self.not_finite("loss", loss, f"epoch {plan.epoch}, step {plan.step + 1}", progress)
        bar.update(images)
        bar.set_postfix_str(f"loss {sums.mean('loss'):.4f}", refresh=False)

    def not_finite(self, name: str, loss: float, place: str, progress: Progress) -> JaxnextError:
        """The error that stops a run whose loss is infinite or not a number."""
        kept = self.checkpoints.latest("last")
        there = (
            f"the last good checkpoint is kept in {self.output}" if kept is not None else "no checkpoint was made yet"
        )
        return JaxnextError(
            f"the {name} is {loss} in {place}, at learning rate {self.learning_rate(progress):g}; {there}; "
            "try a smaller --optimizer.learning_rate"
        )

    def validate(
        self, state: TrainState, progress: Progress, batches: Iterator[HostBatch], wait: DataWait
    ) -> Accumulator | None:
        """Metric sums over the validation images; ``None`` if asked to stop on the way."""
        variables, sums = variables_of(state), Accumulator()

        def started() -> Iterator[tuple[int, Any]]:
            running = None
            for _ in range(self.order.val_steps_per_epoch):
                try:
                    host = wait.fetch(batches, running)
                    self.corrupt.record(host.errors)
                except JaxnextError:
                    self.save_what_is_done(state, progress)
                    raise
                running = self.programs.evaluate(variables, host, self.asked())
                yield len(self.order.locate(host.index).ids) - len(host.errors), running

        with self.bar("validation", len(self.splits.validation), 0) as bar:
            for images, step_sums in pipelined(started()):
                sums.add(self.processes.note(step_sums))
                bar.update(images)
                if self.stopping():
                    return None
        return sums

    def finish_epoch(
        self, state: TrainState, progress: Progress, validation: Accumulator, seconds: float, data_wait: float
    ) -> tuple[TrainState, Progress]:
        """Record the epoch, whose seconds and waits include validation, move the schedule, save, draw."""
        training, epoch = Accumulator(progress.sums), len(progress.history) + 1
        self.corrupt.share(self.processes)
        self.check_any(training, "training")
        self.check_any(validation, "validation")
        record: Record = {
            "epoch": epoch,
            "train_loss": training.mean("loss"),
            "train_accuracy": training.mean("correct"),
            "val_loss": validation.mean("loss"),
            "val_accuracy": validation.mean("correct"),
            "learning_rate": self.schedule.rate(
                progress.schedule, epoch * self.length.steps_per_epoch - 1, self.length
            ),
            "images_per_second": int(training.sums["count"]) / progress.seconds,
            "data_wait_fraction": data_wait / seconds,
            "seconds": seconds,
        }
        if not math.isfinite(record["val_loss"]):
            raise self.not_finite("validation loss", record["val_loss"], f"epoch {epoch}", progress)
        best = record["val_accuracy"] > progress.best_accuracy
        schedule = self.schedule.after_epoch(progress.schedule, record["val_loss"])
        progress = Progress(schedule, epoch * self.order.batches_per_epoch, (*progress.history, record))
        if self.processes.first:
            self.keep(state, progress, best)
            self.env.console.say(_epoch_line(record, self.config.epochs, best) + self.corrupt.summary())
        self.cache.flush()
        self.processes.barrier()
        return state, progress

    def check_any(self, sums: Accumulator, what: str) -> None:
        """Raise where not one image of an epoch's training or validation could be read."""
        if not int(sums.sums["count"]):
            if self.processes.first:
                self.corrupt.write()
            raise JaxnextError(
                f"expected {what} images, found that not one can be read; {self.corrupt.file} has the reasons"
            )

    # Saving and showing

    def keep(self, state: TrainState, progress: Progress, best: bool) -> None:
        """The checkpoints, metrics and curves after an epoch."""
        epoch, record = len(progress.history), progress.history[-1]
        variables, meta = self.model_of(state), self.meta(epoch, float(record["val_accuracy"]))
        if best:
            self.checkpoints.save_model("best", epoch, variables, meta)
        if self.config.checkpoint_every and epoch % self.config.checkpoint_every == 0:
            self.checkpoints.save_model("every", epoch, variables, meta)
        self.save_last(state, progress)
        self.write_history(progress)

    def save_what_is_done(self, state: TrainState, progress: Progress) -> None:
        """Save before the run ends for want of data, unless it has done nothing."""
        if progress.position:
            self.save_last(state, progress)

    def write_history(self, progress: Progress) -> None:
        """``metrics.jsonl`` and the curves, from the records of the finished epochs."""
        if not self.processes.first:
            return
        # Imported when there is something to draw, for Matplotlib takes longer to import than a step to run.
        from jaxnext.reporting.curves import draw_curves

        run_folder.write_metrics(self.output, progress.history)
        draw_curves(progress.history, self.output)

    def model_of(self, state: TrainState) -> Variables:
        """The model's variables on the host."""
        return jax.tree.map(np.asarray, variables_of(state))

    def meta(self, epoch: int, val_accuracy: float | None) -> Meta:
        """What a checkpoint of this run says of itself."""
        trained = tuple(part for part in PARTS if part != "attention" or self.model.attention is not None)
        return Meta(self.config, self.classes, trained, epoch, val_accuracy, fingerprint(self.splits.validation))

    def save_last(self, state: TrainState, progress: Progress) -> None:
        """Save all that the run needs to go on from here; of several processes the first one does."""
        if not self.processes.first:
            return
        variables = self.model_of(state)
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(variables)):
            # The step's own loss was finite, its update was not: the next loss would say so, too late.
            raise self.not_finite("network", math.nan, f"epoch {len(progress.history) + 1}", progress)
        accuracy = progress.history[-1]["val_accuracy"] if progress.history else None
        meta = self.meta(len(progress.history), accuracy)
        moments = jax.tree.map(np.asarray, state.optimizer)
        saved = {"progress": progress.to_json(), "data": self.data()}
        self.corrupt.write()
        self.checkpoints.save_last(progress.position, variables, moments, saved, meta)

    def data(self) -> dict[str, int | str]:
        """What the data of this run is known by."""
        train, validation = self.splits.train, self.splits.validation
        return {
            "training images": len(train),
            "validation images": len(validation),
            "names and labels": f"{fingerprint(train)[:16]} {fingerprint(validation)[:16]}",
        }

    def bar(self, title: str, total: int, initial: int) -> Any:
        """A progress bar over images, on stderr."""
        show = self.env.console.show_progress
        disable = None if show is None else not show
        return tqdm(
            desc=title, total=total, initial=initial, unit="img", leave=False, disable=disable, dynamic_ncols=True
        )


def _epoch_line(record: Record, epochs: int, best: bool) -> str:
    return (
        f"epoch {record['epoch']}/{epochs}: "
        f"train loss {record['train_loss']:.4f}, accuracy {record['train_accuracy']:.2%}; "
        f"val loss {record['val_loss']:.4f}, accuracy {record['val_accuracy']:.2%}{' (best)' if best else ''}; "
        f"learning rate {record['learning_rate']:g}; {record['images_per_second']:.0f} images/s, "
        f"data wait {record['data_wait_fraction']:.1%}"
    )
