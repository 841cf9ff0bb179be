"""How a run trains, beside the optimizer and its schedule, which is off by default; and when it is saved."""

import dataclasses
import math
from typing import Literal

from jaxnext.config.values import require


@dataclasses.dataclass(frozen=True)
class EmaConfig:
    """A moving average of parameters and running statistics, as timm's ModelEmaV3."""

    decay: float | None = None
    """share of the average that an update of the optimizer leaves, such as 0.9998; validation, the checkpoints and
    prediction then use the average; null: there is none"""
    warmup: bool = True
    """true: after n updates no more than 1 - (1 + n / warmup_gamma) ** -warmup_power is left"""
    warmup_gamma: float = 1.0
    """updates by which the power of warmup is stretched"""
    warmup_power: float = 2 / 3
    """2/3 reaches 0.999 after 31,600 updates, 3/4 after 10,000"""
    min_decay: float = 0.0
    """share that warmup leaves at least"""
    update_after: int = 0
    """updates after which averaging begins; until then the average is a copy"""

    def __post_init__(self) -> None:
        decay, least = self.decay, self.min_decay
        fits = decay is None or 0 < decay < 1
        require(fits, "training.ema.decay", "null or a number between 0 and 1", decay)
        require(0 <= least < 1, "training.ema.min_decay", "a number from 0 to below 1", least)
        require(self.warmup_gamma > 0, "training.ema.warmup_gamma", "a number above 0", self.warmup_gamma)
        require(self.warmup_power > 0, "training.ema.warmup_power", "a number above 0", self.warmup_power)
        require(0 <= self.update_after < 2**31, "training.ema.update_after", "at least 0", self.update_after)


@dataclasses.dataclass(frozen=True)
class EarlyStoppingConfig:
    """When a run ends before its last epoch."""

    patience: int | None = None
    """epochs without improvement that are tolerated; the next one ends the run; null: all epochs are trained"""
    by: Literal["loss", "accuracy"] = "loss"
    """what must improve, over the validation images"""
    min_delta: float = 0.0
    """what improves by no more than this has not improved"""

    def __post_init__(self) -> None:
        fits = self.patience is None or self.patience >= 0
        require(fits, "training.early_stopping.patience", "null or at least 0", self.patience)
        require(self.min_delta >= 0, "training.early_stopping.min_delta", "at least 0", self.min_delta)


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How a run trains, beside the optimizer and its schedule."""

    accumulate: int = 1
    """batches whose mean gradient makes one update of the optimizer; batch norms see each batch alone; what is left at
    the end of an epoch makes an update of its own"""
    recalibrate: bool = False
    """true: before each validation the running statistics are computed anew over all training images, without
    augmentation and dropout; for runs so short that the running ones lag behind"""
    hours: float | None = None
    """the run ends where another epoch would not be done so many hours after its start, or in mid-epoch when they are
    over; resumed, it has as many again; null: no limit"""
    on_nonfinite: Literal["stop", "skip"] = "stop"
    """stop: the run ends at a training loss that is infinite or not a number, and names the batch's images; skip: a
    step with such a loss or gradient changes nothing, is counted in the epoch's record, and the run goes on"""
    max_nonfinite: int = 10
    """with skip, so many such steps in a row are left out; one more ends the run"""
    ema: EmaConfig = dataclasses.field(default_factory=EmaConfig)
    """moving average of the parameters"""
    early_stopping: EarlyStoppingConfig = dataclasses.field(default_factory=EarlyStoppingConfig)
    """end of the run before its last epoch"""

    def __post_init__(self) -> None:
        require(self.accumulate >= 1, "training.accumulate", "at least 1", self.accumulate)
        require(self.hours is None or self.hours > 0, "training.hours", "null or a number above 0", self.hours)
        require(self.max_nonfinite >= 1, "training.max_nonfinite", "at least 1", self.max_nonfinite)


@dataclasses.dataclass(frozen=True)
class CheckpointConfig:
    """When a run is saved, beside the end of each epoch; a run killed anywhere loses what came after."""

    every_epochs: int = 0
    """also keep a checkpoint for good every this many epochs; 0: only the best and the last two"""
    every_minutes: float | None = 10.0
    """save within an epoch, beside training, after so many minutes; 0 or null: not by time"""
    every_steps: int | None = None
    """save within an epoch, beside training, after so many training steps; null: not by steps"""

    def __post_init__(self) -> None:
        require(self.every_epochs >= 0, "checkpoint.every_epochs", "at least 0", self.every_epochs)
        minutes, steps = self.every_minutes, self.every_steps
        fits = minutes is None or (math.isfinite(minutes) and minutes >= 0)
        require(fits, "checkpoint.every_minutes", "null or a number of at least 0", minutes)
        require(steps is None or steps >= 1, "checkpoint.every_steps", "null or at least 1", steps)
