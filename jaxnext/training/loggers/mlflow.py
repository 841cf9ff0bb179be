"""MLflow, by its client alone, which is in mlflow-skinny too."""

import dataclasses
from typing import Any

from jaxnext.training.logger import Begun, Shown, library, plain_text

_LETTERS = 500
"""Of a parameter's value; every version of MLflow takes so many."""


@dataclasses.dataclass(frozen=True)
class Logger:
    """MLflow (pip install 'jaxnext[mlflow]'); it has no histograms, so that logits are not shown there."""

    tracking_uri: str | None = None
    """server or store; null: as the environment says (MLFLOW_TRACKING_URI), or MLflow's default"""
    experiment: str = "jaxnext"
    """experiment that the run is shown in; made where it is missing"""
    images: bool = False
    """true: the pictures of the first batch and of validation are uploaded too"""

    def check(self) -> None:
        """Raise a ``UsageError`` where mlflow is missing."""
        library("mlflow", "mlflow.tracking")

    def open(self, begun: Begun) -> "Log":
        """Begin a run with its settings, or go on with the one of the same id."""
        client = library("mlflow", "mlflow.tracking").MlflowClient(self.tracking_uri)
        if begun.id is not None:
            client.update_run(begun.id, "RUNNING")
            return Log(client, begun.id)
        found = client.get_experiment_by_name(self.experiment)
        place = client.create_experiment(self.experiment) if found is None else found.experiment_id
        run = client.create_run(place, run_name=begun.name).info.run_id
        for key, value in begun.config.items():
            client.log_param(run, key, str(plain_text(value))[:_LETTERS])
        return Log(client, run)


class Log:
    """Shows a run there."""

    def __init__(self, client: Any, run: str) -> None:
        self._client, self.id = client, run

    def show(self, shown: Shown) -> None:
        """Log numbers with the epoch as the step, and pictures as artifacts."""
        for name, value in shown.scalars.items():
            self._client.log_metric(self.id, name, value, step=shown.epoch)
        for name, image in shown.images.items():
            self._client.log_image(self.id, image, artifact_file=f"{name}_{shown.epoch:04d}.png")

    def close(self, failed: bool) -> None:
        """Say how it ended."""
        self._client.set_terminated(self.id, "FAILED" if failed else "FINISHED")
