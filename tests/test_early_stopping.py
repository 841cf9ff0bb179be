from typing import Any

import pytest

from jaxnext.config.training import EarlyStoppingConfig
from jaxnext.training.early_stopping import epochs_without_improvement, stopped_early


def history(*losses: float) -> list[Any]:
    return [{"val_loss": loss, "val_accuracy": 1 - loss} for loss in losses]


@pytest.mark.parametrize(
    ("losses", "since"),
    [((), 0), ((0.5,), 0), ((0.5, 0.5), 1), ((0.5, 0.6, 0.4), 0), ((0.5, 0.4, 0.45, 0.4, 0.41), 3)],
)
@pytest.mark.parametrize("by", ["loss", "accuracy"])
def test_epochs_since_the_best(losses: tuple[float, ...], since: int, by: Any) -> None:
    assert epochs_without_improvement(history(*losses), EarlyStoppingConfig(by=by)) == since


def test_a_small_improvement_is_none() -> None:
    # The best stays 0.5 until it is beaten by more than 0.1.
    config = EarlyStoppingConfig(min_delta=0.1)
    assert epochs_without_improvement(history(0.5, 0.45, 0.42), config) == 2
    assert epochs_without_improvement(history(0.5, 0.45, 0.38), config) == 0


def test_a_run_ends_when_patience_is_exceeded() -> None:
    losses = (0.5, 0.6, 0.7)
    assert stopped_early(history(*losses), EarlyStoppingConfig()) is None
    assert stopped_early(history(*losses), EarlyStoppingConfig(patience=2)) is None
    assert (
        stopped_early(history(*losses), EarlyStoppingConfig(patience=1))
        == "the validation loss has not improved for 2 epochs"
    )
    assert (
        stopped_early(history(0.5, 0.5), EarlyStoppingConfig(0, "accuracy"))
        == "the validation accuracy has not improved for 1 epoch"
    )
