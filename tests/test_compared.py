import dataclasses

import numpy as np
import pytest
from compared_runs import compared

from jaxnext.errors import UsageError
from jaxnext.reporting.compared import blocks_of, settings_of
from jaxnext.reporting.predictions import Predictions


def test_runs_that_differ_in_the_seed_are_one_setting() -> None:
    runs = [compared("a-seed0"), compared("b-seed0", head="fc"), compared("a-seed1", draw=1, seed=1)]
    found = settings_of(runs)
    assert [(setting.name, [run.name for run in setting.runs]) for setting in found] == [
        ("a", ["a-seed0", "a-seed1"]),
        ("b", ["b-seed0"]),
    ]


def test_images_in_another_order_and_classes_too_are_matched_by_name() -> None:
    first, second = compared("a"), compared("b", head="fc")
    order, columns = np.arange(60)[::-1], np.arange(7)[::-1]
    old = second.predictions
    moved = dataclasses.replace(
        second,
        names=[second.names[i] for i in order],
        predictions=Predictions(
            [old.paths[i] for i in order],
            6 - old.truth[order],
            old.probabilities[order][:, columns],
            old.classes[::-1],
        ),
    )
    settings = settings_of([first, moved])
    (block,) = blocks_of(*settings)
    assert block.second.tolist() == block.first.tolist() == [first.predictions.correct.tolist()]


def test_refusals() -> None:
    first, second = compared("a"), compared("b", head="fc")
    with pytest.raises(UsageError) as error:
        settings_of([first, dataclasses.replace(second, names=["x", *second.names[1:]])])
    assert str(error.value) == (
        "a: expected a run that was validated on the images of b (the same names and labels), found none: a has 60 "
        "images, b 60, and at most 59 are the same"
    )
    with pytest.raises(UsageError, match=r"^b: expected another setting, seed or fold than those of a, found the same"):
        settings_of([first, compared("b")])
    others = dataclasses.replace(second.predictions, classes=("x", *second.predictions.classes[1:]))
    with pytest.raises(UsageError) as error:
        settings_of([first, dataclasses.replace(second, predictions=others)])
    assert str(error.value) == ("b: expected the 7 classes of a, found 7; only one of the two has class 0, x")
