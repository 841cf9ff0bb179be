"""Learning rate that falls when the validation loss stops falling, as PyTorch's ``ReduceLROnPlateau``.

Optax's ``reduce_on_plateau`` reduces when the count of bad epochs *equals* the patience, PyTorch when it *exceeds*
it; PyTorch also leaves out a reduction of at most 1e-8 and treats NaN as no improvement. This is PyTorch's.
"""

from typing import NamedTuple

from jaxnext.config.sections import PlateauConfig

SMALLEST_CHANGE = 1e-8
"""A reduction that is not larger than this is not made (PyTorch's ``eps``)."""


class Plateau(NamedTuple):
    """State of the schedule after some epochs."""

    learning_rate: float
    best: float = float("inf")
    bad_epochs: int = 0
    cooldown: int = 0


def update(state: Plateau, loss: float, config: PlateauConfig) -> Plateau:
    """The state after an epoch.

    Args:
        state: before the epoch's validation.
        loss: the epoch's validation loss; NaN is no improvement.
        config: the ``plateau`` section.
    """
    learning_rate, best, bad_epochs, cooldown = state
    if loss < best * (1 - config.threshold):
        best, bad_epochs = loss, 0
    else:
        bad_epochs += 1
    if cooldown > 0:
        cooldown, bad_epochs = cooldown - 1, 0
    if bad_epochs > config.patience:
        reduced = max(learning_rate * config.factor, config.min_learning_rate)
        if learning_rate - reduced > SMALLEST_CHANGE:
            learning_rate = reduced
        cooldown, bad_epochs = config.cooldown, 0
    return Plateau(learning_rate, best, bad_epochs, cooldown)
