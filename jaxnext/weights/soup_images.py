"""The images of the runs that are averaged: a net's validation figures, and its statistics over the training images."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxnext.config.sections import Config
from jaxnext.data.image_source import ImageSource, Subset, fingerprint
from jaxnext.data.loader import HostBatch, default_workers, stream
from jaxnext.data.order import sequential_order
from jaxnext.data.pixels import Pixels
from jaxnext.data.splits import Splits
from jaxnext.engine import parallel, steps
from jaxnext.engine.network import network
from jaxnext.engine.padding import padded_batch
from jaxnext.engine.pipeline import pipelined
from jaxnext.engine.recalibration import blank, recalibration_order
from jaxnext.errors import JaxnextError
from jaxnext.metrics import Accumulator
from jaxnext.models.freezing import frozen_network
from jaxnext.models.parts import part_of
from jaxnext.tree import flatten
from jaxnext.types import Variables


class SoupImages:
    """Training and validation images of a run, and what a net of the run's shape computes over them."""

    def __init__(
        self,
        config: Config,
        splits: Splits,
        frozen: tuple[str, ...],
        *,
        batch_size: int,
        workers: int | None,
        cores: int,
        warn: Callable[[str], None],
        bar: Callable[[int], Any],
    ) -> None:
        """Prepare the steps; each is compiled when it is first needed.

        Args:
            config: of the run.
            splits: its images.
            frozen: parts that keep their statistics.
            batch_size: validation images at a time. Statistics are those of batches of the run's own size.
            workers: processes that decode; ``None`` chooses.
            cores: processor cores, from which the number of workers is chosen, and threads.
            warn: shows a line about an image that is left out.
            bar: gives a progress bar over so many images.
        """
        self._config, self._splits, self._frozen = config, splits, frozen
        self._batch_size, self._workers, self._cores, self._warn, self._bar = batch_size, workers, cores, warn, bar
        self._mesh = parallel.mesh_of(jax.local_devices())
        model = network(config.model, len(splits.classes), config.precision, parallel.AXIS)
        self._evaluate = steps.compile_eval_step(model, self._mesh)
        self._recalibrate = steps.compile_recalibration_step(frozen_network(model, frozen), self._mesh)

    @property
    def validation(self) -> str:
        """The fingerprint of the validation images."""
        return fingerprint(self._splits.validation)

    def measure(self, variables: Variables) -> Accumulator:
        """Return metric sums of a net over the validation images; each counts once."""
        there, sums = parallel.replicate(variables, self._mesh), Accumulator()
        for found in self._over(self._splits.validation, self._batch_size, lambda batch: self._evaluate(there, batch)):
            sums.add(found)
        return sums

    def recalibrated(self, variables: Variables) -> Variables:
        """Return a net with the batch-norm statistics of all training images, as ``training.recalibrate`` has them."""
        fixed = {path for path in flatten(variables["batch_stats"]) if part_of(path) in self._frozen}
        there = parallel.replicate(variables | {"batch_stats": blank(variables["batch_stats"], fixed)}, self._mesh)
        source = self._splits.train
        shuffled = Subset(source, recalibration_order(len(source), self._config.seed))

        def step(batch: Any) -> Any:
            nonlocal there
            statistics, sums = self._recalibrate(there, batch)
            there = there | {"batch_stats": statistics}
            return sums

        for _ in self._over(shuffled, self._config.batch_size, step):
            pass
        return variables | {"batch_stats": jax.tree.map(np.asarray, there["batch_stats"])}

    def _over(self, source: ImageSource, batch_size: int, step: Callable[[Any], Any]) -> Iterator[Any]:
        """Yield what a step gives for each batch of a source, behind a progress bar."""
        order, rows = sequential_order(len(source), batch_size), parallel.round_up(batch_size, self._mesh)
        workers = default_workers(self._cores, source) if self._workers is None else self._workers

        def started(batches: Iterator[HostBatch]) -> Iterator[tuple[int, Any]]:
            for host in batches:
                self._leave_out(host)
                yield len(host.ids), step(parallel.split_batch(padded_batch(host, rows), self._mesh))

        pixels = Pixels.of(self._config.data)
        with (
            stream(order, None, source, pixels, workers=workers, threads=self._cores) as batches,
            self._bar(len(source)) as bar,
        ):
            for count, found in pipelined(started(batches)):
                yield found
                bar.update(count)

    def _leave_out(self, host: HostBatch) -> None:
        """Say which images cannot be read, where the run was to skip such.

        Raises:
            JaxnextError: it was not.
        """
        for error in host.errors:
            if self._config.data.on_corrupt != "skip":
                raise JaxnextError(str(error))
            self._warn(f"left out: {error}")
