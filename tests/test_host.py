import time
from types import SimpleNamespace
from typing import Any

from jaxnext.cli.host import this_host


def test_devices_of_a_process_stand_side_by_side() -> None:
    devices: list[Any] = [SimpleNamespace(id=number, process_index=number % 2) for number in range(4)]
    host = this_host(devices)
    assert [device.id for device in host.devices] == [0, 2, 1, 3]
    assert host.clock is time.perf_counter
    assert host.cores >= 1
    assert host.versions["jaxnext"] == "0.1.0"
