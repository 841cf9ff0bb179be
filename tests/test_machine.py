import os
from pathlib import Path

import pytest

from jaxnext.cli.machine import anonymous_memory, available_memory, boot_id, cores
from jaxnext.errors import JaxnextError


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


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_anonymous_memory_grows_with_what_is_taken() -> None:
    before = anonymous_memory()
    taken = bytearray(b"x" * 2**26)
    assert anonymous_memory() - before > 2**26 - 2**20
    del taken


def test_anonymous_memory_where_the_system_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_: "Name: python\n")
    with pytest.raises(JaxnextError, match=r"^/proc/self/status: expected a line RssAnon"):
        anonymous_memory()


def test_boot_and_memory_where_the_system_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert boot_id() == ""
    assert available_memory() is None
