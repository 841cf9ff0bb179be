from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from jaxnext.engine.pipeline import DataWait, pipelined


@pytest.mark.parametrize(
    ("count", "order"),
    [(0, ""), (1, "start 0, end 0"), (3, "start 0, start 1, end 0, start 2, end 1, end 2")],
)
def test_a_step_is_waited_for_when_the_next_one_is_started(count: int, order: str) -> None:
    done: list[str] = []

    def started() -> Iterator[int]:
        for i in range(count):
            done.append(f"start {i}")
            yield i

    for i in pipelined(started()):
        done.append(f"end {i}")
    assert ", ".join(done) == order


def test_waits_are_counted_where_no_step_runs() -> None:
    now = [0.0]

    def slow() -> Iterator[Any]:
        for seconds in (1.0, 2.0, 4.0):
            now[0] += seconds
            yield seconds

    def step(ready: bool) -> dict[str, Any]:
        return {"loss": SimpleNamespace(is_ready=lambda: ready)}

    batches, wait = slow(), DataWait(lambda: now[0], 0.5)
    found = []
    for running in (None, step(ready=False), step(ready=True)):
        wait.fetch(batches, running)
        found.append(wait.seconds)
    assert found == [1.5, 1.5, 5.5]
