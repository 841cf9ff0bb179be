"""Where a run stands: all that is not an array and that it needs to go on exactly."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxnext.engine.schedule import ScheduleState

Record = dict[str, float | int]
"""One epoch's line of ``metrics.jsonl``."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """Position in the run and what has been gathered on the way."""

    schedule: ScheduleState
    """of the learning rate, after the finished epochs"""
    position: int = 0
    """batches of the run that are done"""
    history: tuple[Record, ...] = ()
    """records of the finished epochs"""
    sums: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    """metric sums of the epoch's training steps so far; empty between epochs"""
    seconds: float = 0.0
    """spent in those steps"""
    data_wait: float = 0.0
    """of them, seconds in which no step ran because data was not there"""
    nonfinite: int = 0
    """training steps just before that were left out in a row, as they were not finite; epochs do not end a row"""

    @property
    def best(self) -> Record | None:
        """Return the record of the finished epoch with the highest validation accuracy, the first of equal ones."""
        return max(self.history, key=lambda record: record["val_accuracy"], default=None)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values, from which ``from_json`` makes an equal one: floats keep every bit."""
        return {
            # JSON has no infinity.
            "schedule": {name: value if math.isfinite(value) else str(value) for name, value in self.schedule.items()},
            "position": self.position,
            "history": list(self.history),
            "sums": {name: value.tolist() for name, value in self.sums.items()},
            "seconds": self.seconds,
            "data_wait": self.data_wait,
            # As before this was counted, where there is nothing to count.
            **({"nonfinite": self.nonfinite} if self.nonfinite else {}),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Progress":
        """Make one of what ``to_json`` wrote; of format 1, too, in which the plateau was the only schedule."""
        saved = values["schedule"] if "schedule" in values else values["plateau"]
        state = {name: float("inf") if value is None else value for name, value in saved.items()}
        return cls(
            {name: float(value) if isinstance(value, str) else value for name, value in state.items()},
            values["position"],
            tuple(values["history"]),
            {name: np.asarray(value) for name, value in values["sums"].items()},
            values["seconds"],
            values["data_wait"],
            values.get("nonfinite", 0),
        )
