import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxnext.cli.process import (
    anonymous_memory,
    available_memory,
    boot_id,
    cache_folder,
    cores,
    index_folder,
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
