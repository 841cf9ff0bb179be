import json
from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnext.engine.schedules.plateau import Schedule
from jaxnext.training.progress import Progress

RECORD = {"epoch": 1, "train_loss": 0.1 + 0.2, "val_accuracy": 1 / 3}


def through_json(progress: Progress) -> Progress:
    return Progress.from_json(json.loads(json.dumps(progress.to_json(), allow_nan=False)))


def same(one: Progress, other: Progress) -> bool:
    """Equal in every bit, the dtypes of the sums included."""
    sums = [{k: (v.dtype, v.shape, v.tobytes()) for k, v in p.sums.items()} for p in (one, other)]
    fields = [(p.schedule, p.position, p.history, p.seconds, p.data_wait) for p in (one, other)]
    return sums[0] == sums[1] and fields[0] == fields[1]


def test_json_text() -> None:
    progress = Progress(
        Schedule().start(1e-4),
        3,
        (RECORD,),
        {"loss": np.array(1.5), "class_count": np.array([1, 2])},
        seconds=2.5,
        data_wait=0.5,
    )
    assert progress.to_json() == {
        "schedule": {"learning_rate": 1e-4, "best": "inf", "bad_epochs": 0, "cooldown": 0},
        "position": 3,
        "history": [RECORD],
        "sums": {"loss": 1.5, "class_count": [1, 2]},
        "seconds": 2.5,
        "data_wait": 0.5,
    }
    assert same(through_json(progress), progress)


def test_the_beginning() -> None:
    progress = through_json(Progress(Schedule().start(1e-4)))
    assert progress == Progress(
        {"learning_rate": 1e-4, "best": inf, "bad_epochs": 0, "cooldown": 0}, 0, (), {}, 0.0, 0.0
    )


def test_a_progress_of_format_1_has_a_plateau() -> None:
    new = Progress(Schedule().start(1e-4), 3).to_json()
    old = {name: value for name, value in new.items() if name != "schedule"}
    old["plateau"] = {"learning_rate": 1e-4, "best": None, "bad_epochs": 0, "cooldown": 0}
    assert same(Progress.from_json(old), Progress.from_json(new))


def test_best() -> None:
    assert Progress(Schedule().start(1.0)).best is None
    history = tuple({"epoch": i, "val_accuracy": a} for i, a in enumerate([0.0, 0.5, 0.25], start=1))
    assert Progress(Schedule().start(1.0), history=history).best == history[1]
    assert Progress(Schedule().start(1.0), history=history[:1]).best == history[0]


def test_a_missing_value_is_an_error() -> None:
    values = Progress(Schedule().start(1.0)).to_json()
    for name in values:
        with pytest.raises(KeyError, match="plateau" if name == "schedule" else name):
            Progress.from_json({key: value for key, value in values.items() if key != name})


numbers = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def sums(draw: st.DrawFn) -> dict[str, np.ndarray]:
    classes = draw(st.integers(1, 4))
    counts = st.lists(st.integers(0, 2**62), min_size=classes, max_size=classes)
    return {
        "loss": np.array(draw(numbers)),
        "count": np.array(draw(st.integers(0, 2**62))),
        "class_count": np.array(draw(counts)),
    }


@settings(deadline=None, max_examples=150)
@given(
    schedule=st.dictionaries(st.sampled_from(["learning_rate", "best", "bad_epochs"]), numbers | st.just(inf)),
    position=st.integers(0, 2**40),
    history=st.lists(st.fixed_dictionaries({"epoch": st.integers(1, 99), "val_accuracy": numbers}), max_size=3),
    values=st.just({}) | sums(),
    seconds=numbers,
    data_wait=numbers,
)
def test_round_trip(
    schedule: dict[str, float],
    position: int,
    history: list[Any],
    values: dict[str, np.ndarray],
    seconds: float,
    data_wait: float,
) -> None:
    progress = Progress(schedule, position, tuple(history), values, seconds, data_wait)
    assert same(through_json(progress), progress)
