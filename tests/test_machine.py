import os
from pathlib import Path

import pytest

from jaxnext.cli.machine import available_memory, boot_id, cores


def test_cores() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="reads /proc")
def test_boot_and_memory_on_linux() -> None:
    assert len(boot_id()) == 36
    assert boot_id() == boot_id()
    memory = available_memory()
    assert memory is not None
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert 2**20 < memory < total


def test_boot_and_memory_where_the_system_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert boot_id() == ""
    assert available_memory() is None
