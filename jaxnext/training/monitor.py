"""What is shown of a run while it trains: pictures, loggers and a page. Nothing here alters or ends a run.

The first process does it; the others only compute their part of the first batch's images. What fails is said in one
line and left out.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxnext.config.mapping import flat
from jaxnext.config.sections import Config
from jaxnext.data.loader import HostBatch
from jaxnext.engine import run_folder
from jaxnext.engine.pictured import compile_logits_step, on_first_device
from jaxnext.engine.state import TrainState
from jaxnext.errors import JaxnextError, UsageError, one_line
from jaxnext.models.classifier import Classifier
from jaxnext.models.summary import parameter_counts
from jaxnext.training.compiled_steps import CompiledSteps, variables_of
from jaxnext.training.environment import RunEnvironment
from jaxnext.training.logger import Begun, Log, Shown, scalars_of
from jaxnext.training.progress import Record
from jaxnext.types import UInt8Image

LOGGERS, PAGE = "loggers.json", "report.html"
FIRST_BATCH, VALIDATION_BATCH = "first_batch", "validation_batch"
_REFRESH = 30
"""Seconds after which a page loads itself again."""
_LETTERS = 300
"""Of an error's text."""


class Monitor:
    """Watches one run."""

    def __init__(
        self,
        config: Config,
        output: Path,
        classes: Sequence[str],
        model: Classifier,
        params: Mapping[str, Any],
        steps: CompiledSteps,
        env: RunEnvironment,
    ) -> None:
        """Begin with nothing opened.

        Args:
            config: of the run.
            output: its folder.
            classes: names of the labels.
            model: whose predictions are drawn.
            params: its parameters, arrays or shapes, to be counted.
            steps: of the run.
            env: of the run.
        """
        self._config, self._output, self._classes, self._model = config, output, classes, model
        self._params, self._steps, self._env = params, steps, env
        self._logs: dict[str, Log] = {}
        self._images: set[str] = set()
        self._logged: dict[str, dict[str, Any]] = {}
        self._failed: set[str] = set()
        self._validation: HostBatch | None = None
        self._logits: Callable[..., Any] | None = None

    @contextlib.contextmanager
    def watching(self, history: Sequence[Record], goes_on: bool) -> Iterator[None]:
        """Open the loggers, show them the epochs that they have missed, and close them after the run.

        Args:
            history: records of the finished epochs.
            goes_on: whether the run is resumed; else what an earlier one has left in the folder does not count.

        Raises:
            UsageError: a logger cannot begin.
        """
        failed = True
        try:
            if self._env.processes.first:
                self._open(goes_on)
                for record in history:
                    self._log(Shown(int(record["epoch"]), scalars_of(record)))
            yield
            failed = False
        finally:
            for name, log in self._logs.items():
                with self._tried(f"logger {name}"):
                    log.close(failed)
            self._logs.clear()
            if self._env.processes.first and self._config.report_every:
                self._page(None)

    def first_batch(self, host: HostBatch) -> float:
        """Draw the first training batch of a run, before its step; all processes call it.

        Returns:
            the seconds that it took, which are none of the epoch's.
        """
        clock = self._env.host.clock
        begin = clock()
        with self._tried(f"{FIRST_BATCH}.png"):
            found = self._steps.pictured(host, 0)
            if self._env.processes.first and host.mask.any():
                from jaxnext.training.pictures import first_batch

                by = self._config.model.mean, self._config.model.std
                picture = first_batch(found, host, self._classes, by, self._env.processes.count)
                self._write(FIRST_BATCH, picture)
                self._log(Shown(0, images={FIRST_BATCH: picture}))
        return clock() - begin

    def validation_batch(self, host: HostBatch) -> None:
        """Remember the first validation batch, which is the same in every epoch."""
        if self._validation is None and self._env.processes.first and host.mask.any():
            from jaxnext.training.pictures import MOST

            rows = np.flatnonzero(host.mask)[:MOST]
            self._validation = host._replace(image=host.image[rows], label=host.label[rows])

    def epoch(self, state: TrainState, record: Record, best: bool) -> None:
        """Show a finished epoch; ``best``: of all so far it is. Only the first process calls it."""
        epoch, images, histograms = int(record["epoch"]), {}, {}
        if self._validation is not None and (best or self._logs):
            with self._tried(f"{VALIDATION_BATCH}.png"):
                logits = self._predicted(state, self._validation)
                histograms["logits/val"] = logits
                if best:
                    from jaxnext.training.pictures import validation_batch

                    host = self._validation
                    picture = validation_batch(host.image, host.label, logits, self._classes, epoch)
                    self._write(VALIDATION_BATCH, picture)
                    images[VALIDATION_BATCH] = picture
        self._log(Shown(epoch, scalars_of(record), images, histograms))
        if self._config.report_every and epoch % self._config.report_every == 0:
            self._page(_REFRESH)

    def curves(self, history: Sequence[Record]) -> None:
        """Draw the curves of the finished epochs."""
        with self._tried(f"{self._output}: its curves"):
            # Imported when there is something to draw, for Matplotlib takes longer to import than a step to run.
            from jaxnext.reporting.curves import draw_curves

            draw_curves(history, self._output)

    def _open(self, goes_on: bool) -> None:
        """Open the loggers, in the places where they were if the run goes on."""
        path = self._output / LOGGERS
        if goes_on and path.exists():
            self._logged = _read_logged(path)
        for choice in self._config.logger:
            logger, name = choice.build(), choice.type
            known = self._logged.get(name, {"id": None, "epochs": 0})
            try:
                log = logger.open(Begun(self._output, flat(self._config), known["epochs"], known["id"]))
            except Exception as error:
                raise UsageError(f"logger {name}: expected it to begin, found {_text(error)}") from error
            self._logs[name], self._logged[name] = log, {"id": log.id, "epochs": known["epochs"]}
            if logger.images:
                self._images.add(name)
        if self._logs:
            with self._tried(LOGGERS):
                run_folder.write_json(path, self._logged)

    def _log(self, shown: Shown) -> None:
        """Show something to each logger that has not seen its epoch; one that fails is shown no more."""
        for name, log in list(self._logs.items()):
            own = shown if name in self._images else shown._replace(images={})
            if 0 < own.epoch <= self._logged[name]["epochs"] or not any(own[1:]):
                continue
            done = False
            with self._tried(f"logger {name}"):
                log.show(own)
                done = True
            if not done:
                del self._logs[name]
                continue
            self._logged[name]["epochs"] = own.epoch
            with self._tried(LOGGERS):
                run_folder.write_json(self._output / LOGGERS, self._logged)

    def _write(self, name: str, picture: UInt8Image) -> None:
        from jaxnext.training.pictures import write_picture

        if not self._output.is_dir():
            # It would be made anew, for a picture alone; the run ends at its next checkpoint.
            raise JaxnextError(f"{self._output}: the folder has been removed")
        write_picture(picture, self._output / f"{name}.png")

    def _predicted(self, state: TrainState, host: HostBatch) -> NDArray[Any]:
        if self._logits is None:
            self._logits = compile_logits_step(self._model, self._steps.mesh.local_devices[0])
        return np.asarray(self._logits(on_first_device(variables_of(state)), host.image), np.float32)

    def _page(self, refresh: int | None) -> None:
        if not (self._output / run_folder.METRICS).exists():
            return
        with self._tried(PAGE):
            # Imported when there is something to draw, as above.
            from jaxnext.reporting.live_page import live_page
            from jaxnext.reporting.run_facts import read_run

            titles = {FIRST_BATCH: "First training batch", VALIDATION_BATCH: "First validation batch"}
            files = {title: self._output / f"{name}.png" for name, title in titles.items()}
            pictures = {title: file.read_bytes() for title, file in files.items() if file.exists()}
            name, parameters = self._output.absolute().name, parameter_counts(self._params)
            page = live_page(name, read_run(self._output), parameters, pictures, refresh)
            run_folder.write_text(self._output / PAGE, page)

    @contextlib.contextmanager
    def _tried(self, what: str) -> Iterator[None]:
        """Say what fails, once, and go on."""
        try:
            yield
        except Exception as error:
            if what not in self._failed:
                self._failed.add(what)
                self._env.warn(f"{what}: the run goes on without it ({_text(error)})")


def _read_logged(path: Path) -> dict[str, dict[str, Any]]:
    """Return which epochs each logger has been shown, and by what it goes on."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {name: {"id": known["id"], "epochs": int(known["epochs"])} for name, known in found.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise JaxnextError(
            f"{path}: expected how far each logger has come, found another file ({_text(error)}); remove it, and they "
            "are shown all epochs"
        ) from error


def _text(error: Exception) -> str:
    text = one_line(error)
    return text if len(text) <= _LETTERS else f"{text[:_LETTERS]}..."
