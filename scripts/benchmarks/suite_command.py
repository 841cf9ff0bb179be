"""The command ``scripts/benchmark.py suite``: its options, and the processes that measure."""

import argparse
import dataclasses
import datetime
import functools
import multiprocessing
import os
import tempfile
import time
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxnext.cli.console import note
from jaxnext.cli.machine import cores
from jaxnext.config.yaml_text import config_names, find_config
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.ops.cpu.allocator import keep_freed_memory

if TYPE_CHECKING:
    from benchmarks.suite_parts import Task

_CANDIDATES = "jaxnext torch_channels_last torch_compile timm_compile"
_SHARE = "0.92"
"""Of a GPU's memory, for JAX where it is alone; libraries take some beside it."""
_TO_END = 30.0
"""Seconds that a process which has given its result has to end by itself."""


def add_arguments(parser: argparse.ArgumentParser, configs_dir: Path, count: Any) -> None:
    """The suite's options but for ``--rounds`` and ``--json``.

    Args:
        parser: of the sub-command.
        configs_dir: folder in which ``--config NAME`` is looked up.
        count: the type of whole numbers of at least 1.
    """
    names = config_names(configs_dir)
    parser.add_argument("--config", default="fc_cbam", help=f"{names}, or the path of a .yaml file")
    parser.add_argument(
        "--part", nargs="+", default=[], metavar="NAME", help="what to measure; every part unless given"
    )
    parser.add_argument("--again", action="store_true", help="measure also what the file has")
    parser.add_argument("--table", action="store_true", help="measure nothing, show the file's table")
    parser.add_argument("--image_size", type=count, default=512, help="pixels on each side")
    parser.add_argument("--batch_sizes", type=count, nargs="+", default=[16, 64, 128, 256], help="of the model's parts")
    parser.add_argument("--batch_size", type=count, default=64, help="of grouped_conv_*, augment and remat")
    parser.add_argument("--passes", type=count, default=2, help="times that a part goes through its candidates")
    parser.add_argument("--seconds", type=count, default=500, help="that a part may take")
    parser.add_argument("--sample_seconds", type=float, default=0.5, help="that a sample lasts at least")
    parser.add_argument(
        "--candidates",
        nargs="+",
        default=_CANDIDATES.split(),
        metavar="NAME",
        help="also torch_eager, timm_channels_last",
    )
    parser.add_argument("--formulations", nargs="+", metavar="NAME", help="of grouped_conv_*; all of them unless given")


def suite(options: argparse.Namespace, configs_dir: Path) -> str:
    """Measures the parts that the options ask for; returns the table of the file.

    Raises:
        UsageError: an option that does not fit.
        JaxnextError: the file does not fit, or a part could not be measured; then the table is printed before.
    """
    if options.json is None:
        raise UsageError("--json: expected the file that the parts are merged into, found none")
    from benchmarks import suite as parts
    from benchmarks import suite_table, suite_tasks
    from benchmarks.suite_parts import Options
    from jaxnext.ops.grouped_formulations import NAMES

    if options.table:
        return suite_table.table(parts.read(options.json))
    name, config = find_config(options.config, configs_dir)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, image_size=options.image_size))
    suite_tasks.check(tuple(options.candidates))
    for formulation in options.formulations or ():
        if formulation not in NAMES:
            raise UsageError(f"--formulations: expected some of {', '.join(NAMES)}, found {formulation!r}")
    what = Options(
        config=config,
        name=name,
        batch_sizes=tuple(dict.fromkeys(options.batch_sizes)),
        batch_size=options.batch_size,
        rounds=options.rounds,
        passes=options.passes,
        sample_seconds=options.sample_seconds,
        candidates=tuple(dict.fromkeys(options.candidates)),
        # Of at most two shapes in two directions; a fifth is for what is not compilation.
        convolution_seconds=options.seconds / 5,
        formulations=tuple(dict.fromkeys(options.formulations or NAMES)),
    )
    with tempfile.TemporaryDirectory(prefix="jaxnext-suite-") as folder:
        around = parts.Around(
            worker=functools.partial(in_a_process, Path(folder)),
            clock=time.perf_counter,
            now=lambda: datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            load=lambda: os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
            say=note,
        )
        table, failed = parts.run(
            what, tuple(options.part), options.json, again=options.again, seconds=options.seconds, around=around
        )
    if failed:
        print(table, flush=True)
        raise JaxnextError(parts.failures(failed))
    return table


def in_a_process(folder: Path, task: "Task", seconds: float, part: str) -> dict[str, Any]:
    """What a new process measures.

    Args:
        folder: the processes of a part keep what they compile in one of its folders.
        task: what to measure.
        seconds: after which the process is ended.
        part: its name.

    Raises:
        JaxnextError: it could not be measured; says why.
    """
    cache = folder / part
    cache.mkdir(exist_ok=True)
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(send, task, cache))
    process.start()
    send.close()
    try:
        if not receive.poll(seconds):
            raise JaxnextError(f"it was stopped after the {seconds:.0f} s that were left of the part's time")
        found, reason = receive.recv()
        process.join(_TO_END)
    except EOFError as error:
        process.join()
        raise JaxnextError(f"its process ended with status {process.exitcode} before it had a result") from error
    finally:
        receive.close()
        process.kill()
        process.join()
    if reason is not None:
        raise JaxnextError(reason)
    return found


def environment(task: "Task", cache: Path, around: Mapping[str, str]) -> dict[str, str]:
    """Variables of the process that measures a task, beside those around it.

    Args:
        task: what is measured.
        cache: folder of the part.
        around: the variables that there are.
    """
    # What torch.compile keeps from one pass to the next, and from no earlier call.
    own = {"TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"), "TRITON_CACHE_DIR": str(cache / "triton")}
    if task.jax_alone:
        # As in training, so that memory is not fragmented. PyTorch may have all there is; JAX's share is 75 % unless
        # told otherwise.
        own["XLA_PYTHON_CLIENT_PREALLOCATE"] = "true"
        if not around.get("XLA_CLIENT_MEM_FRACTION") and not around.get("XLA_PYTHON_CLIENT_MEM_FRACTION"):
            own["XLA_CLIENT_MEM_FRACTION"] = _SHARE
    return own


def _work(send: Connection, task: "Task", cache: Path) -> None:
    """In the new process: sends the result, or the reason why there is none."""
    os.environ.update(environment(task, cache, os.environ))
    keep_freed_memory(os.environ.get("JAX_PLATFORMS"))
    from benchmarks.report import failure
    from benchmarks.suite_tasks import measure

    try:
        found = measure(task, cache / "jax", cores=cores(), clock=time.perf_counter, say=note)
        send.send((found, None))
    except JaxnextError as error:
        send.send((None, str(error)))
    except Exception as error:  # whatever stops one candidate, the others go on
        traceback.print_exc()
        send.send((None, failure(error)))
