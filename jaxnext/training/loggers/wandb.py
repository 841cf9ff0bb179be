"""Weights & Biases, by its own library, which reads its own environment: ``WANDB_MODE=offline`` needs no network."""

import dataclasses
from typing import Any

from jaxnext.training.logger import Begun, Shown, as_floats, library, plain_text


@dataclasses.dataclass(frozen=True)
class Logger:
    """Weights & Biases (pip install 'jaxnext[wandb]'); WANDB_MODE=offline writes into the run's folder alone."""

    project: str = "jaxnext"
    """project that the run is shown in"""
    entity: str | None = None
    """user or team that it belongs to; null: the account's own"""
    images: bool = False
    """true: the pictures of the first batch and of validation are uploaded too"""

    def check(self) -> None:
        """Raise a ``UsageError`` where wandb is missing."""
        library("wandb", "wandb")

    def open(self, begun: Begun) -> "Log":
        """Begin a run, or go on with the one of the same id."""
        wandb = library("wandb", "wandb")
        run = wandb.init(
            project=self.project,
            entity=self.entity,
            name=begun.name,
            id=begun.id,
            resume=None if begun.id is None else "allow",
            dir=str(begun.folder),
            config={key: plain_text(value) for key, value in begun.config.items()},
            # The output is the run's own: nothing is captured, and nothing is said between its lines.
            settings=wandb.Settings(silent=True, console="off"),
        )
        return Log(wandb, run)


class Log:
    """Shows a run there."""

    def __init__(self, wandb: Any, run: Any) -> None:
        self._wandb, self._run = wandb, run
        self.id: str = run.id

    def show(self, shown: Shown) -> None:
        """Log all of it at once, with the epoch as the step."""
        histograms = {name: as_floats(values) for name, values in shown.histograms.items()}
        values = {
            **shown.scalars,
            **{name: self._wandb.Image(image) for name, image in shown.images.items()},
            **{name: self._wandb.Histogram(values) for name, values in histograms.items() if values.size},
        }
        self._run.log(values, step=shown.epoch, commit=True)

    def close(self, failed: bool) -> None:
        """Upload what is left, and finish."""
        self._run.finish(exit_code=int(failed))
