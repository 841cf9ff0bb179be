import ctypes
import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import jax
import pytest

from jaxnext.ops.cpu.allocator import give_back_if_short, keep_freed_memory


@pytest.fixture
def mallopt(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What glibc's mallopt is told, in a Linux process in which JAX knows the CPU alone."""
    told: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda option, value: told.append((option, value)))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: [])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    return told


@pytest.fixture(autouse=True)
def jax_told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """The settings that JAX is told, which then stay as they are."""
    told: list[tuple[str, bool]] = []
    monkeypatch.setattr(jax.config, "update", lambda *setting: told.append(setting))
    return told


# M_MMAP_MAX is -4, M_TRIM_THRESHOLD -1.
KEEP = [(-4, 0), (-1, -1)]


@pytest.mark.parametrize(("pixels", "inline"), [(50_000, False), (50_001, True), (None, True)])
def test_keep_freed_memory_on_a_cpu(
    pixels: int | None, inline: bool, mallopt: list[tuple[int, int]], jax_told: list[tuple[str, bool]]
) -> None:
    keep_freed_memory(None, pixels)
    assert mallopt == KEEP
    assert jax_told == [("jax_cpu_enable_async_dispatch", False)] * inline


@pytest.mark.parametrize(("platforms", "told"), [(None, []), ("cuda,cpu", []), ("cpu", KEEP)])
@pytest.mark.parametrize("accelerator", ["jax_plugins", "libtpu"])
def test_keep_freed_memory_beside_an_accelerator(
    accelerator: str,
    platforms: str | None,
    told: list[tuple[int, int]],
    mallopt: list[tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: [group] * (group == accelerator))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name == accelerator else None)
    keep_freed_memory(platforms)
    assert mallopt == told


def test_keep_freed_memory_elsewhere(mallopt: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    keep_freed_memory(None)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    keep_freed_memory(None)
    assert mallopt == []


# M_MMAP_THRESHOLD is -3; four steps' memory may be kept.
@pytest.mark.parametrize(
    ("available", "told"), [(400, []), (399, [(-3, 2**25), (-4, 65536), (-1, 131072)]), (None, [])]
)
def test_freed_memory_is_given_back_where_there_is_too_little(
    available: int | None, told: list[tuple[int, int]], mallopt: list[tuple[int, int]]
) -> None:
    give_back_if_short(100, available)
    assert mallopt == told


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_glibc_takes_the_options_and_jax_is_not_imported_for_few_pixels() -> None:
    code = (
        "import ctypes, sys\n"
        "from jaxnext.ops.cpu import allocator\n"
        "real, answers = ctypes.CDLL(None).mallopt, []\n"
        "class Library:\n"
        "    mallopt = staticmethod(lambda *told: answers.append(real(*told)))\n"
        "ctypes.CDLL = lambda name: Library\n"
        "allocator.keep_freed_memory('cpu', 1)\n"
        "allocator.give_back_if_short(2**60, 2**30)\n"
        "print(answers, 'jax' in sys.modules)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], env=dict(os.environ), capture_output=True, text=True)
    assert found.stdout == "[1, 1, 1, 1, 1] False\n", found.stderr
