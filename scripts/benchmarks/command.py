"""The command behind ``scripts/benchmark.py``. It needs argparse, not jsonargparse: but for ``data`` it also runs
where only jax, flax, optax and torch are installed."""

import argparse
import dataclasses
import datetime
import importlib.util
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import suite_command as cli_suite
from jaxnext.cli.console import note
from jaxnext.cli.machine import anonymous_memory, cores
from jaxnext.config.yaml_text import config_names, find_config
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.ops.cpu.allocator import keep_freed_memory

_BUSY = 0.5
"""Runnable threads on average over the last minute. PyTorch's wait for each other and suffer most from other work."""
_DATA_NEEDS = ("torch", "jax", "flax", "optax", "grain", "absl", "simplejpeg", "PIL")

_THEIRS = ", and PyTorch's"

Command = Callable[[argparse.Namespace, Path], tuple[dict[str, Any], str]]
"""Measures what the options ask for; returns the result for JSON, and as a table."""


def benchmark(argv: Sequence[str], configs_dir: Path) -> int:
    """Runs ``scripts/benchmark.py``; returns the exit status.

    Args:
        argv: the command line without the program's name.
        configs_dir: folder in which ``--config NAME`` is looked up.

    Raises:
        JaxnextError: a mistake in what is measured, or a package that is not installed.
        SystemExit: after ``--help``, and with status 2 for an option that argparse refuses.
    """
    options = _parser(configs_dir).parse_args(argv)
    try:
        _run(options, configs_dir)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("jax", "jaxlib", "flax", "optax", "numpy"):
            raise
        raise JaxnextError(f"{error.name} is not installed for this Python; the benchmark needs it") from error
    return 0


def _parser(configs_dir: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Measures this project against PyTorch, in turn in one process.", allow_abbrev=False
    )
    commands = parser.add_subparsers(title="what to measure", metavar="COMMAND", required=True)
    for name, help_text, command, add_arguments in (
        ("model", "training step and inference of a network", _model, _add_model_arguments),
        ("grouped_conv", "every formulation of the grouped convolution", _grouped_conv, _add_grouped_conv_arguments),
        ("data", "loading of JPEGs, from files and from the decoded cache", _data, _add_data_arguments),
        ("footprint", "memory and waits at full size", _footprint, _add_footprint_arguments),
        ("suite", "everything on a GPU, part after part, into one file", _suite, _add_suite_arguments),
    ):
        sub = commands.add_parser(
            name,
            help=help_text,
            description=f"Measures {help_text}{'' if name == 'footprint' else _THEIRS}.",
            allow_abbrev=False,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        sub.set_defaults(command=command)
        add_arguments(sub, configs_dir)
        sub.add_argument("--rounds", type=_count, default=5, help="samples of each function, taken in turn")
        sub.add_argument("--json", type=Path, metavar="FILE", help="also write the result to this file")
    return parser


def _add_model_arguments(parser: argparse.ArgumentParser, configs_dir: Path) -> None:
    names = config_names(configs_dir)
    parser.add_argument("--config", default="baseline", help=f"{names}, or the path of a .yaml file")
    parser.add_argument("--image_size", type=_count, default=224, help="pixels on each side")
    parser.add_argument("--batch_size", type=_count, default=8, help="images in a step")
    _add_precision(parser)
    parser.add_argument("--no_torch_compile", action="store_true", help="leave torch.compile out")


def _add_grouped_conv_arguments(parser: argparse.ArgumentParser, configs_dir: Path) -> None:
    del configs_dir
    parser.add_argument("--batch_size", type=_count, default=4, help="images in a call")
    _add_precision(parser)
    parser.add_argument("--groups", type=_count, default=32, help="divides the channels of every shape")
    parser.add_argument("--stride", type=int, choices=(1, 2), default=1, help="of both axes")
    parser.add_argument(
        "--all", action="store_true", help="also what takes seconds a call on a CPU: XLA's gradient, and Pallas"
    )
    parser.add_argument(
        "--shapes",
        type=_shape,
        nargs="+",
        metavar="HxWxC",
        help="height, width and channels of each input; those of ResNeXt-50's four stages at 224 pixels unless given",
    )


def _add_data_arguments(parser: argparse.ArgumentParser, configs_dir: Path) -> None:
    del configs_dir
    parser.add_argument("--images", type=_count, default=512, help="files that are written for it, in a folder for now")
    parser.add_argument("--image_size", type=_count, default=512, help="pixels on each side that they are resized to")
    parser.add_argument("--batch_size", type=_count, default=16, help="images in a batch")


def _add_footprint_arguments(parser: argparse.ArgumentParser, configs_dir: Path) -> None:
    del configs_dir
    parser.add_argument("--part", choices=("listing", "cache", "predict", "wait"), required=True, help="what")
    parser.add_argument("--images", type=_count, help="files written for it; None: as many as the README says")
    parser.add_argument("--image_size", type=_count, default=512, help="pixels on each side, of cache and wait")
    parser.add_argument("--batch_size", type=_count, default=16, help="images in a batch, of cache and wait")


def _add_suite_arguments(parser: argparse.ArgumentParser, configs_dir: Path) -> None:
    cli_suite.add_arguments(parser, configs_dir, _count)


def _add_precision(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--precision", choices=("float32", "bfloat16"), default="float32", help="bfloat16 is autocast's in PyTorch"
    )


def _run(options: argparse.Namespace, configs_dir: Path) -> None:
    if options.json is not None:
        from benchmarks.report import check_destination

        check_destination(options.json)
    # JAX would keep three quarters of a GPU to itself. It reads this when it first touches the device.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    # The seconds of a compilation, not those of finding it in a cache; and oneDNN is not called where one is in use.
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    # As in training; PyTorch has it, too, as they share the process.
    keep_freed_memory(os.environ.get("JAX_PLATFORMS"))
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > _BUSY:
        note(f"the machine was busy in the last minute (load average {load:.1f}); if it still is, ratios will be off")
    result, table = options.command(options, configs_dir)
    print(table, flush=True)
    # The suite has written its own, part by part.
    if options.json is not None and result:
        from benchmarks.report import write_json

        write_json(options.json, {"date": date, "load_average_before": load, **result})


def _model(options: argparse.Namespace, configs_dir: Path) -> tuple[dict[str, Any], str]:
    name, config = find_config(options.config, configs_dir)
    config = dataclasses.replace(
        config,
        batch_size=options.batch_size,
        precision=options.precision,
        data=dataclasses.replace(config.data, image_size=options.image_size),
    )
    from benchmarks import model

    what = model.Options(config, name, options.rounds, not options.no_torch_compile)
    result = model.run(what, cores=cores(), clock=time.perf_counter, say=note)
    return result, model.table(result)


def _grouped_conv(options: argparse.Namespace, configs_dir: Path) -> tuple[dict[str, Any], str]:
    del configs_dir
    from benchmarks import convolutions

    shapes = tuple(options.shapes or convolutions.SHAPES)
    for shape in shapes:
        if shape[2] % options.groups:
            name = convolutions.shape_name(shape)
            raise UsageError(f"--groups: expected a divisor of the channels of {name}, found {options.groups}")
    what = convolutions.Options(
        batch_size=options.batch_size,
        precision=options.precision,
        groups=options.groups,
        stride=options.stride,
        rounds=options.rounds,
        everything=options.all,
        shapes=shapes,
    )
    result = convolutions.run(what, cores=cores(), clock=time.perf_counter, say=note)
    return result, convolutions.table(result)


def _data(options: argparse.Namespace, configs_dir: Path) -> tuple[dict[str, Any], str]:
    del configs_dir
    missing = [name for name in _DATA_NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise JaxnextError(f"benchmark.py data needs {', '.join(missing)}, not installed for this Python")
    from benchmarks import data

    what = data.Options(options.images, options.image_size, options.batch_size, options.rounds)
    with tempfile.TemporaryDirectory(prefix="jaxnext-benchmark-") as folder:
        result = data.run(what, Path(folder), cores=cores(), clock=time.perf_counter, say=note)
    return result, data.table(result)


def _footprint(options: argparse.Namespace, configs_dir: Path) -> tuple[dict[str, Any], str]:
    from benchmarks import footprint

    _, config = find_config("baseline", configs_dir)
    data = dataclasses.replace(config.data, image_size=options.image_size)
    config = dataclasses.replace(config, batch_size=options.batch_size, data=data)
    what = footprint.Options(options.part, options.images or footprint.IMAGES[options.part], config)
    process = footprint.Process(time.perf_counter, cores(), anonymous_memory)
    with tempfile.TemporaryDirectory(prefix="jaxnext-benchmark-") as folder:
        result = footprint.run(what, Path(folder), process, note)
    return result, footprint.table(result)


def _suite(options: argparse.Namespace, configs_dir: Path) -> tuple[dict[str, Any], str]:
    return {}, cli_suite.suite(options, configs_dir)


def _count(text: str) -> int:
    value = int(text) if text.isascii() and text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text!r}")
    return value


def _shape(text: str) -> tuple[int, int, int]:
    sizes = text.split("x")
    if len(sizes) != 3:
        raise argparse.ArgumentTypeError(f"expected three numbers such as 56x56x128, found {text!r}")
    height, width, channels = map(_count, sizes)
    return height, width, channels
