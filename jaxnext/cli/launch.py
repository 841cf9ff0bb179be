"""``jaxnext launch``: train in several processes on this machine, and start them again where one has died."""

import dataclasses
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from jaxnext.cli import launched, train
from jaxnext.cli.console import note
from jaxnext.cli.invocation import CONNECTION, Invocation
from jaxnext.cli.main import INTERRUPTED
from jaxnext.cli.parser import Parser, arguments_of, check_least
from jaxnext.cli.supervisor import Supervisor
from jaxnext.config.packaged import configs_folder
from jaxnext.errors import UsageError

_DEVICES = Path("/dev")
"""Where NVIDIA's driver has ``nvidia0``, ``nvidia1``, ...; in a container those that it may use."""
_PAUSE_SECONDS = 1


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What the command was asked for."""

    processes: int
    restarts: int
    train: list[str]
    """options of ``train``"""
    gpus: list[str]
    """of this machine, as CUDA_VISIBLE_DEVICES names them"""


def parse(argv: Sequence[str], invocation: Invocation, configs_dir: Path) -> Arguments:
    """Read the options, those of ``train`` too; errors as its ``parse``."""
    own, after = list(argv), []
    if "--" in own:
        own, after = own[: own.index("--")], own[own.index("--") + 1 :]
    parser = Parser(
        invocation.usage("launch"),
        "--processes N [--restarts K] -- train --config NAME_OR_PATH [--KEY VALUE ...]",
        "Train in several processes on this machine, each with GPUs of its own where there are some.",
    )
    parser.option("processes", int | None, "their number; null: as many as there are GPUs")
    text = "start all again with --resume auto, at most so many times, where one has died or failed"
    parser.option("restarts", int, text, 0)
    values = parser.parse(own)
    check_least(values, processes=1, restarts=0)
    if not after or after[0] != "train":
        raise UsageError(f"expected '-- train' and its options, found {' '.join(after) or 'none'}")
    options = after[1:]
    for name in (*CONNECTION, "--distributed"):
        if any(word.partition("=")[0] == name for word in options):
            raise UsageError(f"{name}: expected none, since launch connects the processes, found one; leave it out")
    # A mistake is one sentence, not one of each process.
    train.parse(options, invocation, configs_dir)
    gpus = gpus_of(os.environ, _DEVICES)
    if values["processes"] is None and not gpus:
        raise UsageError("--processes is missing: give their number, for no GPU was found")
    processes = values["processes"] or len(gpus)
    if gpus and processes > len(gpus):
        raise UsageError(f"--processes: expected at most the {len(gpus)} GPUs of this machine, found {processes}")
    return arguments_of(Arguments, values, processes=processes, train=options, gpus=gpus)


def run(argv: Sequence[str], invocation: Invocation) -> int:
    """Run the command; return the exit status, 130 where a signal ended the run."""
    arguments = parse(argv, invocation, configs_folder())
    supervisor = Supervisor()
    with supervisor.forwarding():
        return launch(arguments, invocation, supervisor, _free_port)


def launch(arguments: Arguments, invocation: Invocation, supervisor: Supervisor, port: Callable[[], int]) -> int:
    """Start the processes, and again while one dies and restarts are left.

    Args:
        arguments: of the command.
        invocation: how the user called.
        supervisor: that runs them.
        port: gives one that is free, on which the first listens.

    Returns:
        the exit status: 2 after a mistake in the options, 130 after a signal, 1 after another error.
    """
    before = [f"--processes={arguments.processes}", f"--restarts={arguments.restarts}"]
    own = dataclasses.replace(invocation, launch=tuple(before))
    environments = [environment(os.environ, arguments, index) for index in range(arguments.processes)]
    options = arguments.train
    for left in range(arguments.restarts, -1, -1):
        address = f"127.0.0.1:{port()}"
        for each in environments:
            # Nobody else is to connect.
            each["JAX_COORDINATOR_BIND_ADDRESS"] = address
        connections = [connection(address, arguments.processes, index) for index in range(arguments.processes)]
        commands = [launched.command([*options, *each], own) for each in connections]
        statuses = supervisor.run(commands, environments)
        status = outcome(statuses, supervisor.asked)
        for index, each in enumerate(statuses):
            if each < 0 and status == 1:
                note(f"process {index} was ended by {signal.Signals(-each).name}")
        if status != 1 or not left:
            return status
        note(f"starting all again with --resume auto ({arguments.restarts - left + 1} of {arguments.restarts})")
        if not any(word.partition("=")[0] == "--resume" for word in options):
            options = [*options, "--resume", "auto"]
        time.sleep(_PAUSE_SECONDS)
        if supervisor.asked is not None:
            return INTERRUPTED
    raise AssertionError("the last start has returned")


def connection(address: str, processes: int, index: int) -> list[str]:
    """Return the options by which one process of ``train`` finds the others."""
    values = (address, str(processes), str(index))
    return [word for pair in zip(CONNECTION, values, strict=True) for word in pair]


def environment(base: Mapping[str, str], arguments: Arguments, index: int) -> dict[str, str]:
    """Return the environment of a process: its own share of the GPUs, all shares of one size."""
    share = len(arguments.gpus) // arguments.processes
    own = arguments.gpus[index * share : (index + 1) * share]
    if not own:
        return dict(base)
    # Slurm's variables would have JAX take one of them only.
    numbers = ",".join(map(str, range(share)))
    return {**base, "CUDA_VISIBLE_DEVICES": ",".join(own), "JAX_LOCAL_DEVICE_IDS": numbers}


def gpus_of(environment: Mapping[str, str], devices: Path) -> list[str]:
    """Return NVIDIA's GPUs that processes may use, as CUDA_VISIBLE_DEVICES names them.

    Args:
        environment: of this process; where it names some, or JAX is to compute on something else, that holds.
        devices: folder with an entry for each.
    """
    platforms = environment.get("JAX_PLATFORMS", "")
    if platforms and not {"cuda", "gpu"} & set(platforms.split(",")):
        return []
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name and name != "-1"]
    return [str(number) for number, _ in enumerate(devices.glob("nvidia[0-9]*"))]


def outcome(statuses: Sequence[int], asked: int | None) -> int:
    """Return the exit status of a run whose processes ended with these, after a signal ``asked`` it to stop or none."""
    for known in (UsageError.exit_status, INTERRUPTED):
        if known in statuses:
            return known
    if asked is not None and -asked in statuses:
        # It came before the run could heed it.
        return INTERRUPTED
    return int(any(statuses))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
