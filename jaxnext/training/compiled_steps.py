"""The compiled steps of a run, and the batches sent to them."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import optax
from jax.sharding import Mesh

from jaxnext.augment import draw_all, size_after
from jaxnext.config.sections import Config
from jaxnext.data.loader import HostBatch
from jaxnext.engine import parallel, steps
from jaxnext.engine.accumulation import Accumulation
from jaxnext.engine.ema import MovingAverage
from jaxnext.engine.gradient_norms import gradient_norms
from jaxnext.engine.padding import padded_batch
from jaxnext.engine.pictured import Pictured, pictured
from jaxnext.engine.state import Batch, TrainBatch, TrainState
from jaxnext.engine.update import Recipe
from jaxnext.losses import Loss
from jaxnext.losses.cross_entropy import PLAIN
from jaxnext.mix import Drawn, Mix
from jaxnext.models.classifier import Classifier
from jaxnext.models.freezing import frozen_network
from jaxnext.training.environment import CompilationCache
from jaxnext.training.phases import Phase, phase_of
from jaxnext.types import Variables


class CompiledSteps:
    """The training and the evaluation step of a run, on its devices; the former is another in each phase."""

    def __init__(
        self,
        config: Config,
        model: Classifier,
        optimizer: optax.GradientTransformation,
        devices: Sequence[parallel.Device],
        loss: Loss = PLAIN,
        mix: Mix | None = None,
        steps_per_epoch: int = 1,
    ) -> None:
        """Prepare the steps of the first phase.

        Args:
            config: of the run.
            model: built with ``axis_name=AXIS``.
            optimizer: from ``phases.optimizer_of``.
            devices: that share each batch.
            loss: that is minimised.
            mix: how images are mixed; ``None``: not at all.
            steps_per_epoch: training batches in an epoch.
        """
        self.config, self.loss, self.mix = config, loss, mix
        self.mesh: Mesh = parallel.mesh_of(devices)
        self.rows = parallel.round_up(config.batch_size, self.mesh)
        self.own_rows = parallel.own_rows(self.rows, self.mesh)
        self._augmentations = tuple(choice.build() for choice in config.augment)
        accumulate = config.training.accumulate
        self.accumulation = Accumulation(accumulate, steps_per_epoch) if accumulate > 1 else None
        skip = config.training.on_nonfinite == "skip"
        self.recipe = Recipe(self.accumulation, MovingAverage.of(config.training.ema), skip)
        self._model, self._optimizer = model, optimizer
        self._evaluate: Any = steps.compile_eval_step(model, self.mesh)
        self._compiled = False
        self.enter(phase_of(config, 0))

    def enter(self, phase: Phase) -> None:
        """Prepare the training step of a phase; ``compile`` compiles it."""
        self.phase = phase
        model = frozen_network(self._model, phase.frozen)
        self._train: Any = steps.compile_train_step(
            model, self._optimizer, self.mesh, self._augmentations, self.loss, self.recipe
        )
        self._recalibrate: Any = None
        if self.config.training.recalibrate:
            self._recalibrate = steps.compile_recalibration_step(model, self.mesh)

    def compile(self, state: TrainState, cache: CompilationCache | None, clock: Callable[[], float]) -> str:
        """Compile what a phase needs and is not compiled yet, so that no epoch's time holds the compiler's.

        Args:
            state: as the training step will be given it.
            cache: in which they may be found.
            clock: seconds.

        Returns:
            A line that says what was compiled and what was found, and on a CPU what it does without.
        """
        begin = clock()
        drawn = self._augmentation(0), self._mixing(0)
        train_batch = parallel.split_batch(TrainBatch(self._blank(self.phase.size), *drawn), self.mesh)
        self._train, train_found = _compiled(self._train.lower(state, train_batch), cache)
        size, eval_found = self.config.data.size, train_found
        batch = train_batch.batch if size == self.phase.size else parallel.split_batch(self._blank(size), self.mesh)
        if not self._compiled:
            self._evaluate, eval_found = _compiled(self._evaluate.lower(variables_of(state), batch), cache)
        if self._recalibrate is not None:
            self._recalibrate, _ = _compiled(self._recalibrate.lower(variables_of(state), batch), cache)
        self._compiled = True
        line = _line(train_found, eval_found, cache, clock() - begin)
        return "; ".join([line, *parallel.compiled_without(self.mesh.local_devices[0], self.config.precision)])

    def temporary_memory(self) -> int:
        """Return the bytes that the training step takes beside arguments and results; 0 where XLA does not say."""
        analysis = self._train.memory_analysis()
        return 0 if analysis is None else analysis.temp_size_in_bytes

    def replicate(self, tree: Any) -> Any:
        """Put the same arrays on every device."""
        return parallel.replicate(tree, self.mesh)

    def train(self, state: TrainState, host: HostBatch, step: int, stop: bool = False) -> tuple[TrainState, steps.Sums]:
        """Start a training step on this process's rows of a batch; ``state`` is given up.

        Args:
            state: before the step.
            host: the rows.
            step: number of the step in the run.
            stop: whether this process was asked to stop. With several processes the sums say as ``stop`` on how many
                devices that was so.
        """
        return self._train(state, self._train_batch(host, step, stop))

    def pictured(self, host: HostBatch, step: int) -> Pictured:
        """Return what ``train`` gives the network of a batch; all processes must call it together."""
        batch = self._train_batch(host, step, False)
        return pictured(batch, model=self._model, augmentations=self._augmentations, mesh=self.mesh)

    def gradient_norms(self, state: TrainState, host: HostBatch, step: int) -> dict[str, float]:
        """Return the norms by part of the gradients that ``train`` has of a batch; all processes must call it.

        Args:
            state: whose weights and statistics count.
            host: the rows.
            step: number of the step in the run.
        """
        state = state._replace(step=self.replicate(np.int32(step)), optimizer=(), accumulated=None, average=None)
        model = frozen_network(self._model, self.phase.frozen)
        batch = self._train_batch(host, step, False)
        return gradient_norms(
            state, batch, model=model, augmentations=self._augmentations, loss=self.loss, mesh=self.mesh
        )

    def mixes(self, step: int) -> bool:
        """Return whether the images of a step's batch are mixed."""
        drawn = self._mixing(step)
        return drawn is not None and bool(drawn.labels[0, 1] > 0)

    def evaluate(self, variables: Variables, host: HostBatch, stop: bool = False) -> steps.Sums:
        """Start the metric sums of a batch; ``stop`` as ``train``."""
        return self._evaluate(variables, parallel.split_batch(self._padded(host, stop), self.mesh))

    def recalibrate(self, variables: Variables, host: HostBatch, stop: bool = False) -> tuple[Variables, steps.Sums]:
        """Start to average a batch's statistics into those of ``variables``; ``stop`` as ``train``."""
        statistics, sums = self._recalibrate(variables, parallel.split_batch(self._padded(host, stop), self.mesh))
        return variables | {"batch_stats": statistics}, sums

    def _blank(self, size: tuple[int, int]) -> Batch:
        images: Any = np.zeros((len(self.own_rows), *size, 3), np.uint8)
        labels: Any = np.zeros(len(self.own_rows), np.int32)
        return Batch(images, labels, labels.astype(bool), self._flags(False))

    def _train_batch(self, host: HostBatch, step: int, stop: bool) -> TrainBatch:
        batch = TrainBatch(self._padded(host, stop), self._augmentation(step), self._mixing(step))
        return parallel.split_batch(batch, self.mesh)

    def _augmentation(self, step: int) -> tuple[Any, ...]:
        drawn = draw_all(self._augmentations, self.config.seed, step, self.rows, self.phase.size)
        own = slice(self.own_rows.start, self.own_rows.stop)
        return jax.tree.map(lambda array: array[own], drawn)

    def _mixing(self, step: int) -> Drawn | None:
        if self.mix is None:
            return None
        dtype = np.float64 if self.config.precision == "float64" else np.float32
        size = size_after(self._augmentations, self.phase.size)
        return self.mix.draw(self.config.seed, step, size, len(self.mesh.local_devices), dtype)

    def _padded(self, host: HostBatch, stop: bool) -> Batch:
        return padded_batch(host, len(self.own_rows))._replace(stop=self._flags(stop))

    def _flags(self, stop: bool) -> Any:
        # Not in a run of one process: its program has no use for it.
        return np.full(len(self.mesh.local_devices), stop, np.int32) if self.mesh.is_multi_process else None


def variables_of(state: TrainState) -> Variables:
    """Return the variables that are validated and saved, where they are: the moving average where there is one."""
    network = state if state.average is None else state.average
    return {"params": network.params, "batch_stats": network.batch_stats}


def _compiled(lowered: Any, cache: CompilationCache | None) -> tuple[Any, bool]:
    """Return a compiled program, and whether it was found in the cache."""
    before = cache.found() if cache else 0
    program = lowered.compile()
    return program, cache is not None and cache.found() > before


def _line(train_found: bool, eval_found: bool, cache: CompilationCache | None, seconds: float) -> str:
    if cache is None or not (train_found or eval_found):
        line = f"compiled in {seconds:.1f} s"
        return f"{line}; {cache.not_kept}" if cache and cache.not_kept else line
    found = f"found in the compilation cache ({cache.place})"
    if train_found and eval_found:
        return f"{found} in {seconds:.1f} s"
    one, other = ("training", "validation") if train_found else ("validation", "training")
    return f"{one} step {found}, {other} step compiled, in {seconds:.1f} s"
