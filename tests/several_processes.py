"""Runs of real processes on the CPU, connected by ``jax.distributed``."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax

ROOT = Path(__file__).resolve().parent.parent


class Ended(NamedTuple):
    """How one process ended."""

    status: int
    stdout: str
    stderr: str


def environment(devices: int = 1) -> dict[str, str]:
    """CPUs, so many of them in each process; programs compiled as here, or by earlier tests."""
    settings: Any = jax.config
    return os.environ | {
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": str(devices),
        "JAX_ENABLE_COMPILATION_CACHE": str(settings.jax_enable_compilation_cache),
        "JAX_COMPILATION_CACHE_DIR": str(settings.jax_compilation_cache_dir),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
        "JAX_COMPILATION_CACHE_MAX_SIZE": str(settings.jax_compilation_cache_max_size),
        "PYTHONPATH": str(ROOT),
    }


def free_port() -> int:
    with socket.create_server(("", 0)) as server:
        return server.getsockname()[1]


def train(
    folder: Path,
    *options: object,
    ends: tuple[str, str] = ("-", "-"),
    own: tuple[list[str], list[str]] = ([], []),
    draws: bool = False,
    meanwhile: Callable[[], None] = lambda: None,
) -> tuple[Ended, Ended]:
    """Both processes of a run, with ``--config small.yaml`` of ``folder``, until they have ended.

    Args:
        folder: working directory; process I notes its examples in ``ids_I``.
        options: of both.
        ends: signal and step of each, for ``recorded_train``.
        own: further options of each.
        draws: whether they draw pictures and curves.
        meanwhile: called when they have been started.
    """
    address = f"localhost:{free_port()}"
    processes = []
    for index in (0, 1):
        together = ["--coordinator_address", address, "--num_processes", "2", "--process_id", str(index)]
        command = [sys.executable, str(ROOT / "tests" / "recorded_train.py"), f"ids_{index}", ends[index]]
        command += ["--config", "small.yaml", *map(str, options), *together, *own[index]]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        env = environment() | ({"RECORDED_TRAIN_DRAWS": "yes"} if draws else {})
        processes.append(subprocess.Popen(command, cwd=folder, env=env, text=True, **pipes))
    try:
        meanwhile()
        found = []
        for process in processes:
            found.append(process.communicate(timeout=240))
            for other in processes:
                # What was frozen goes on when the first has ended.
                other.send_signal(signal.SIGCONT)
    finally:
        for process in processes:
            process.kill()
    first, second = (Ended(p.returncode, *text) for p, text in zip(processes, found, strict=True))
    return first, second


def launch(folder: Path, count: int, *options: object) -> Ended:
    """A run of so many processes that ``launch`` starts, with ``--config small.yaml`` of ``folder``."""
    command = [sys.executable, str(ROOT / "scripts" / "launch.py"), "--processes", str(count)]
    command += ["--", "train", "--config", "small.yaml", *map(str, options)]
    found = subprocess.run(command, cwd=folder, env=environment(), text=True, capture_output=True, timeout=240)
    return Ended(found.returncode, found.stdout, found.stderr)


def ids_of(folder: Path, common: bool = False) -> list[tuple[int, list[int]]]:
    """Steps in the order trained, with the ids of the global batch, put together from what both processes noted.

    With ``common`` the first may have noted more, which are left out.
    """
    notes = [[json.loads(line) for line in (folder / f"ids_{i}").read_text().splitlines()] for i in (0, 1)]
    if common:
        notes[0] = notes[0][: len(notes[1])]
    assert [step for step, _ in notes[0]] == [step for step, _ in notes[1]]
    return [(step, ids + other) for (step, ids), (_, other) in zip(*notes, strict=True)]
