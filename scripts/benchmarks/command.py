"""The command behind ``scripts/benchmark.py``: one parser of the parts' own options, one file and one table."""

import argparse
import datetime
import os
import sys
from collections.abc import Sequence

from benchmarks import ahead, data, footprint, grouped_conv, model, serve, suite
from benchmarks.report import check_destination, count, note, write_json
from jaxnext.errors import JaxnextError

PARTS = {
    "model": model,
    "grouped_conv": grouped_conv,
    "data": data,
    "footprint": footprint,
    "serve": serve,
    "ahead": ahead,
    "suite": suite,
}
"""Each has ``HELP``, ``add_arguments(parser)``, ``run(options, say)``, which returns a result for JSON, and
``table(result)``. Nothing is imported before ``run`` that ``--help`` would wait for."""

_BUSY = 0.5
"""Runnable threads on average over the last minute. PyTorch's wait for each other and suffer most from other work."""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the options; ``command`` is the name in ``PARTS``."""
    parser = argparse.ArgumentParser(description="Measure this project against PyTorch.", allow_abbrev=False)
    commands = parser.add_subparsers(title="what to measure", dest="command", metavar="PART", required=True)
    for name, part in PARTS.items():
        sub = commands.add_parser(
            name,
            help=part.HELP,
            description=f"Measure {part.HELP}.",
            allow_abbrev=False,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        part.add_arguments(sub)
        if part not in (suite, ahead):
            sub.add_argument("--rounds", type=count, default=5, help="samples of each function, taken in turn")
        sub.add_argument("--json", metavar="FILE", help="also write the result to this file")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run ``scripts/benchmark.py``; return the exit status.

    Args:
        argv: the command line without the program's name.

    Raises:
        ModuleNotFoundError: what is measured needs a package that is not installed.
        SystemExit: after ``--help``, and with status 2 for an option that argparse refuses.
    """
    options = parse(argv)
    before = dict(os.environ)
    try:
        return _measure(options)
    except JaxnextError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    finally:
        # What is set for JAX here is not left to whoever calls this from Python.
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def _measure(options: argparse.Namespace) -> int:
    if options.json is not None:
        check_destination(options.json)
    # JAX would keep three quarters of a GPU to itself. It reads this when it first touches the device.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    # The seconds of a compilation, not those of finding it in a cache; and oneDNN is not called where one is in use.
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > _BUSY:
        note(f"the machine was busy in the last minute (load average {load:.1f}); if it still is, ratios will be off")
    part = PARTS[options.command]
    result = {"command": options.command, "date": date, "load_average_before": load, **part.run(options, note)}
    print(part.table(result), flush=True)
    if options.json is not None:
        write_json(options.json, result)
    failed = result.get("failed", [])
    if failed:
        raise JaxnextError(f"not measured, for the reasons above: {'; '.join(failed)}")
    return 0
