import ctypes
import importlib.metadata
import importlib.util
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from jaxnext.cli import process as cli_process
from jaxnext.cli.process import (
    anonymous_memory,
    available_memory,
    boot_id,
    cache_folder,
    cores,
    give_back_if_short,
    index_folder,
    keep_freed_memory,
    resume_command,
    stop_on_interrupt,
    tfds_folder,
    versions,
)
from jaxnext.errors import JaxnextError


def test_the_first_interrupt_asks_and_the_second_raises(capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_on_interrupt() as stop:
        assert not stop()
        signal.raise_signal(signal.SIGINT)
        assert stop()
        assert "press Ctrl-C again to stop at once" in capfd.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_sigterm_asks_however_often_it_comes() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_interrupt() as stop:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert stop()
    assert signal.getsignal(signal.SIGTERM) is before


def test_cores() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)


@pytest.fixture
def mallopt(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What glibc's mallopt is told, in a Linux process in which JAX knows the CPU alone."""
    told: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda option, value: told.append((option, value)))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: [])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
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
    keep_freed_memory(pixels)
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
    if platforms is not None:
        monkeypatch.setenv("JAX_PLATFORMS", platforms)
    keep_freed_memory()
    assert mallopt == told


def test_keep_freed_memory_elsewhere(mallopt: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    keep_freed_memory()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    keep_freed_memory()
    assert mallopt == []


# M_MMAP_THRESHOLD is -3; four steps' memory may be kept.
@pytest.mark.parametrize(
    ("available", "told"), [(400, []), (399, [(-3, 2**25), (-4, 65536), (-1, 131072)]), (None, [])]
)
def test_freed_memory_is_given_back_where_there_is_too_little(
    available: int | None, told: list[tuple[int, int]], mallopt: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_process, "available_memory", lambda: available)
    give_back_if_short(100)
    assert mallopt == told


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_glibc_takes_the_options() -> None:
    code = (
        "import ctypes\n"
        "from jaxnext import cli_process\n"
        "real, answers = ctypes.CDLL(None).mallopt, []\n"
        "class Library:\n"
        "    mallopt = staticmethod(lambda *told: answers.append(real(*told)))\n"
        "ctypes.CDLL = lambda name: Library\n"
        "cli_process.keep_freed_memory()\n"
        "cli_process.give_back_if_short(2**60)\n"
        "print(answers)\n"
    )
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    root = Path(__file__).parent.parent
    found = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True)
    assert found.stdout == "[1, 1, 1, 1, 1]\n", found.stderr


def test_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path("/home/somebody/.cache/jaxnext")
    monkeypatch.setenv("XDG_CACHE_HOME", "/large")
    assert cache_folder() == Path("/large/jaxnext")


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (["--config", "fc"], "train.py --config fc --resume auto"),
        (["--config", "fc", "--data.path", "my data"], "train.py --config fc --data.path 'my data' --resume auto"),
        (["--resume", "auto", "--config", "fc"], "train.py --resume auto --config fc"),
        (["--config", "fc", "--resume=auto"], "train.py --config fc --resume=auto"),
    ],
)
def test_resume_command(argv: list[str], command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert resume_command("train.py", argv) == f"{shlex.quote(sys.executable)} {command}"


def test_resume_command_in_an_activated_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    python = Path(sys.executable)
    monkeypatch.setenv("PATH", str(python.parent))
    assert resume_command("train.py", []) == f"{python.name} train.py --resume auto"


def test_versions(tmp_path: Path) -> None:
    found = versions(tmp_path)
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__
    assert found["commit"] is None
    assert set(found) > {"jaxnext", "jax", "flax", "optax", "orbax-checkpoint", "grain"}


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_of_a_checkout(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    (tmp_path / "file").write_text("one")
    git("init")
    git("add", "file")
    git("commit", "-m", "first", "--no-gpg-sign")
    head = git("rev-parse", "HEAD")
    assert versions(tmp_path)["commit"] == head
    assert versions(tmp_path / "inside")["commit"] is None
    (tmp_path / "file").write_text("two")
    assert versions(tmp_path)["commit"] == f"{head}-dirty"


def test_folders_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert index_folder() == tmp_path / "jaxnext" / "index"
    assert tfds_folder() == "/home/somebody/tensorflow_datasets"
    monkeypatch.setenv("TFDS_DATA_DIR", "/data/sets")
    assert tfds_folder() == "/data/sets"


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
