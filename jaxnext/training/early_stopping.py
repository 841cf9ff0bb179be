"""Whether a run has learnt what it will: a function of its records, so that a resumed run answers alike."""

from collections.abc import Sequence

from jaxnext.config.training import EarlyStoppingConfig
from jaxnext.training.progress import Record


def epochs_without_improvement(history: Sequence[Record], config: EarlyStoppingConfig) -> int:
    """Return the number of epochs since the last that was better than all before by more than ``min_delta``."""
    sign, name = (1, "val_accuracy") if config.by == "accuracy" else (-1, "val_loss")
    best, since = float("-inf"), 0
    for record in history:
        value = sign * record[name]
        since = 0 if value > best + config.min_delta else since + 1
        best = value if since == 0 else best
    return since


def stopped_early(history: Sequence[Record], config: EarlyStoppingConfig) -> str | None:
    """Say why a run is done before its last epoch; ``None``: it is not."""
    since = epochs_without_improvement(history, config)
    if config.patience is None or since <= config.patience:
        return None
    return f"the validation {config.by} has not improved for {since} {'epoch' if since == 1 else 'epochs'}"
