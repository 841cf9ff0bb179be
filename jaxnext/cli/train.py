"""``jaxnext train``: train a classifier, or go on with a run."""

import dataclasses
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from jsonargparse import Namespace

from jaxnext.cli.console import outlive_terminal, say, warn
from jaxnext.cli.distributed import Distributed, together
from jaxnext.cli.interrupt import SaveOnRequest, stop_on_interrupt
from jaxnext.cli.invocation import Invocation
from jaxnext.cli.machine import available_memory
from jaxnext.cli.main import INTERRUPTED, main
from jaxnext.cli.parser import Parser, arguments_of, check_least, choose_config, config_of, no_config, with_choices
from jaxnext.cli.paths import path
from jaxnext.cli.precision import set_precision
from jaxnext.cli.user_folders import UNKNOWN_HOME, folders
from jaxnext.config.packaged import configs_folder
from jaxnext.config.sections import Config
from jaxnext.config.yaml_text import config_names, dump_config
from jaxnext.errors import UsageError
from jaxnext.ops.cpu.allocator import FEW_PIXELS, give_back_if_short, keep_freed_memory
from jaxnext.training.processes import Processes


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What the command was asked for."""

    config: Config
    output: Path
    resume: bool
    compilation_cache: bool | None
    onednn: bool = True
    distributed: Distributed | None = None


def parse(argv: Sequence[str], invocation: Invocation, configs_dir: Path) -> Arguments:
    """Read the options; the config file first, then the overrides wherever they stand.

    Args:
        argv: The command line after the command's name.
        invocation: How the user called.
        configs_dir: Folder in which ``--config NAME`` is looked up.

    Raises:
        UsageError: A mistake in the options or in the config file.
        SystemExit: After ``--help`` or ``--print_config``, with status 0.
    """
    choice = choose_config(argv, configs_dir)
    usage = "--config NAME_OR_PATH [--output DIR] [--resume auto] [--KEY VALUE ...]"
    parser = Parser(invocation.usage("train"), usage, "Train a classifier.")
    parser.option("config", str, f"{config_names(configs_dir)}, or the path of a .yaml file")
    parser.option("output", str | None, "folder of the run; null: runs/ and the name of the config")
    parser.option("resume", Literal["auto"] | None, "auto: go on from the last checkpoint of --output, if there is one")
    parser.compilation_cache()
    parser.option("distributed", bool, "true: one of several processes that the cluster starts and connects", False)
    parser.option(
        "coordinator_address", str | None, "HOST:PORT of process 0, where several processes are started by hand"
    )
    parser.option("num_processes", int | None, "their number")
    parser.option("process_id", int | None, "which of them this is, from 0")
    parser.add_argument("--print_config", action="store_true", help="print the whole config as YAML and stop")
    base = with_choices(argv, choice[1] if choice else Config())
    parser.settings(base)
    values = parser.parse(argv)
    name, _ = choice or no_config(configs_dir)
    config = config_of(values, base)
    if values["print_config"]:
        print(dump_config(config), end="")
        raise SystemExit(0)
    return arguments_of(
        Arguments,
        values,
        config=config,
        output=path("--output", f"runs/{name}" if values["output"] is None else values["output"]),
        resume=values["resume"] == "auto",
        distributed=_distributed(values),
    )


def run(argv: Sequence[str], invocation: Invocation) -> int:
    """Run the command; return the exit status, 130 where a signal ended the run."""
    # Before what takes long to be imported: by default each of these signals ends a process.
    with SaveOnRequest() as requests:
        return _run(argv, invocation, requests)


def _run(argv: Sequence[str], invocation: Invocation, requests: SaveOnRequest) -> int:
    arguments = parse(argv, invocation, configs_folder())
    outlive_terminal()
    keep_freed_memory(os.environ.get("JAX_PLATFORMS"), pixels_of(arguments.config))
    set_precision(arguments.config)
    resume_command = invocation.resume_command(argv)
    own = functools.partial(train, arguments, invocation, resume_command, requests=requests)
    return own(Processes()) if arguments.distributed is None else together(arguments.distributed, own, main)


def train(
    arguments: Arguments,
    invocation: Invocation,
    resume_command: str,
    processes: Processes,
    requests: SaveOnRequest | None = None,
) -> int:
    """Do this process's part of a training run.

    Args:
        arguments: of the command.
        invocation: how the user called.
        resume_command: that goes on with the run.
        processes: of the run.
        requests: to save; ``None``: nobody listens for them.

    Returns:
        the exit status, 130 where a signal ended the run.
    """
    import jax

    from jaxnext.cli.compilation import compilation_cache
    from jaxnext.cli.host import this_host
    from jaxnext.training.environment import Console, RunEnvironment
    from jaxnext.training.fit import fit

    config, kept = arguments.config, folders()
    if kept.index is None and processes.first:
        warn(f"{UNKNOWN_HOME}; listings of images are not kept")
    small = pixels_of(config) <= FEW_PIXELS
    with (
        stop_on_interrupt() as interrupted,
        compilation_cache(
            arguments.compilation_cache, config.precision, warn, small=small, use_onednn=arguments.onednn
        ) as cache,
    ):

        def stop() -> bool:
            return interrupted() or (requests is not None and requests.stop)

        on_cpu = jax.default_backend() == "cpu"
        env = RunEnvironment(
            host=this_host(jax.devices(), _give_back if on_cpu else lambda size: None),
            console=Console(
                say=say if processes.first else lambda line: None,
                warn=warn,
                show_progress=None if processes.first else False,
                resume_command=resume_command,
                port_command=invocation.usage("port"),
            ),
            folders=kept,
            stop=stop,
            saves_asked=lambda: 0 if requests is None else requests.saves,
            compilation_cache=cache,
            processes=processes,
        )
        fit(config, arguments.output, arguments.resume, env)
        return INTERRUPTED if stop() or processes.stopping else 0


def _give_back(step: int) -> None:
    give_back_if_short(step, available_memory())


def pixels_of(config: Config) -> int:
    """Return the number of pixels of a batch, the largest of the run."""
    return config.batch_size * max(height * width for height, width in config.data.sizes)


def _distributed(values: Namespace) -> Distributed | None:
    """Return how several processes find each other; ``None`` where this is the only one."""
    names = ("coordinator_address", "num_processes", "process_id")
    given = {name: values[name] for name in names if values[name] is not None}
    if not given:
        return Distributed() if values["distributed"] else None
    if values["distributed"]:
        raise UsageError(f"--distributed true finds out --{next(iter(given))} by itself: give only one of the two")
    missing = [f"--{name}" for name in names if name not in given]
    if missing:
        raise UsageError(
            f"{' and '.join(missing)} missing: several processes need --coordinator_address HOST:PORT, "
            "--num_processes N and --process_id I, or --distributed true"
        )
    host, _, port = given["coordinator_address"].rpartition(":")
    if not (host and port.isascii() and port.isdecimal() and 0 < int(port) < 2**16):
        raise UsageError(f"--coordinator_address: expected HOST:PORT, found {given['coordinator_address']}")
    check_least(values, num_processes=1)
    if not 0 <= given["process_id"] < given["num_processes"]:
        raise UsageError(f"--process_id: expected 0 to {given['num_processes'] - 1}, found {given['process_id']}")
    return Distributed(**given)
