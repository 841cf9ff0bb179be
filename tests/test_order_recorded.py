"""The order of examples: the same on any number of devices, workers and processes."""

import json
import subprocess
import sys

import jax
import pytest
import several_processes
from recorded_order import rows_on_devices

TABLE = [[6, 1, 4], [0, 3, 2], [5, -1, -1], [0, 1, 2], [0, 6, 5], [1, 4, 3], [2, -1, -1], [0, 1, 2]]
"""Training and validation ids of the order: of seven images in batches of three, twice."""

WORKERS = (0, 4)


def table(rows: list[list[int]], devices: int) -> list[list[int]]:
    """Without the padding up to a number of rows that the devices divide."""
    padding = -3 % devices
    assert {(len(row), *row[3:]) for row in rows} == {(3 + padding, *(-1,) * padding)}
    return [row[:3] for row in rows]


@pytest.mark.parametrize(
    ("devices", "workers"), [(1, 0), (2, 0), (4, 0), *(pytest.param(2, w, marks=pytest.mark.slow) for w in (1, 4))]
)
def test_one_process(devices: int, workers: int) -> None:
    assert table(rows_on_devices(jax.devices()[:devices], workers), devices) == TABLE


@pytest.mark.slow
def test_two_processes() -> None:
    devices = 4
    address = f"localhost:{several_processes.free_port()}"
    script = [sys.executable, str(several_processes.ROOT / "tests" / "recorded_order.py"), address, "2"]
    processes = [
        subprocess.Popen(
            [*script, str(index), *map(str, WORKERS)],
            env=several_processes.environment(devices // 2),
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in (0, 1)
    ]
    try:
        found = [json.loads(process.communicate(timeout=240)[0].splitlines()[-1]) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for first, second in zip(*found, strict=True):
        assert table([a + b for a, b in zip(first, second, strict=True)], devices) == TABLE
