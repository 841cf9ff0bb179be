"""``benchmark.py suite``: all that is measured on a GPU, part after part, merged into one file, shown as one table.

On the machine with the GPU, in a copy of this repository. Jax, flax, optax, PyYAML and torch are needed, timm is left
out where it is not installed; each line takes less than nine minutes and may be repeated, what is there is not measured
again::

    pip install "jax[cuda13]>=0.10,<0.13" flax optax pyyaml torch torchvision timm
    python scripts/benchmark.py suite --json gpu.json --part ceilings augment
    python scripts/benchmark.py suite --json gpu.json --part remat
    python scripts/benchmark.py suite --json gpu.json --part train_bf16_16       # then _64, _128, _256
    python scripts/benchmark.py suite --json gpu.json --part inference_bf16_16   # then _64, _128, _256
    python scripts/benchmark.py suite --json gpu.json --part train_float32_16    # then inference_float32_16
    python scripts/benchmark.py suite --json gpu.json --part grouped_conv_1      # then _2, _3, _4
    python scripts/benchmark.py suite --json gpu.json --table

Every candidate has a process of its own, so that each has the whole device memory. A part goes through its candidates
in turn, ``passes`` times.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import suite_table
from benchmarks.report import write_json
from benchmarks.suite_parts import Options, Part, Task, parts_of, select
from benchmarks.timing import Clock, Timing
from jaxnext.errors import JaxnextError, UsageError

Worker = Callable[[Task, float, str], dict[str, Any]]
"""Measures a task in a process of its own, within these seconds; the name is that of the part, whose processes share
what they compile. Raises JaxnextError, whose message is the reason why there is no result."""

Say = Callable[[str], None]


class Around(NamedTuple):
    """The process around the suite."""

    worker: Worker
    clock: Clock
    now: Callable[[], str]
    """the date and time, for the file"""
    load: Callable[[], float]
    """runnable threads on average over the last minute"""
    say: Say


def run(
    options: Options, names: tuple[str, ...], file: Path, *, again: bool, seconds: float, around: Around
) -> tuple[str, list[str]]:
    """Measure the parts that the file does not have yet, and write each into it as soon as it is done.

    A part in the file of which no candidate could be measured is tried again.

    Args:
        options: what is measured.
        names: of the parts; all of them where there is none.
        file: of earlier calls, or not there yet.
        again: measure also what is there.
        seconds: that a part may take; what is not done by then is left out with that reason.
        around: the process.

    Returns:
        the table of all that is in the file, and the names of the parts that failed in this call.

    Raises:
        UsageError: no such part, or the file has it with other options.
        JaxnextError: the file is not one of the suite, of another machine or of other versions, or cannot be written;
            or nothing can be measured here.
    """
    everything = parts_of(options)
    selected = select(everything, names)
    before = read(file)
    for name, record in before["parts"].items():
        _check_options(name, record, everything[0], ("config", "image_size"), file)
    around.say("asking for the machine")
    here = around.worker(Task("describe", "describe", options), seconds, "describe")
    check_same(before, here, file)
    todo = [part for part in selected if again or not _is_done(part, before, file)]
    failed = []
    for part in todo:
        around.say(f"{part.name}:")
        record = measure_part(part, seconds, around)
        record["system"] = here["system"]
        if "failed" in record:
            failed.append(part.name)
        # Read again: another call may have added a part in the meantime.
        merged = read(file)
        check_same(merged, here, file)
        merge(merged, here, part.name, record, [other.name for other in everything])
        write_json(file, merged)
    return suite_table.table(read(file)), failed


def read(file: Path) -> dict[str, Any]:
    """The result of earlier calls, empty where there is no file.

    Raises:
        JaxnextError: the file cannot be read or is not one of the suite.
    """
    if not file.exists():
        return {"command": "suite", "parts": {}}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise JaxnextError(f"--json {file}: the file cannot be read as JSON ({error})") from error
    if not isinstance(found, dict) or found.get("command") != "suite" or not isinstance(found.get("parts"), dict):
        raise JaxnextError(f"--json {file}: expected a file that benchmark.py suite has written; name another one")
    return found


def check_same(result: dict[str, Any], here: dict[str, Any], file: Path) -> None:
    """Refuse to mix machines or versions.

    Raises:
        JaxnextError: names the first difference.
    """
    for kind in ("machine", "versions"):
        there = result.get(kind)
        if there is None:
            continue
        for key in {**there, **here[kind]}:
            expected, found = there.get(key), here[kind].get(key)
            if expected != found:
                raise JaxnextError(
                    f"--json {file}: its parts were measured with {key} {expected}, found {key} {found} here; "
                    "name another file"
                )


def merge(result: dict[str, Any], here: dict[str, Any], name: str, record: dict[str, Any], order: list[str]) -> None:
    """Put a part's record into a result, in the order of the suite; parts of other options come last."""
    result["machine"], result["versions"] = here["machine"], here["versions"]
    parts = {**result["parts"], name: record}
    names = [*(known for known in order if known in parts), *(other for other in parts if other not in order)]
    result["parts"] = {known: parts[known] for known in names}


def measure_part(part: Part, seconds: float, around: Around) -> dict[str, Any]:
    """The record of a part: ``results`` and ``left_out`` by the tasks' names, ``failed`` where there is no result."""
    begin = around.clock()
    record: dict[str, Any] = {"date": around.now(), "load_average_before": around.load(), "options": part.options}
    results: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    took: dict[str, float] = {}
    for number in range(part.passes):
        for task in part.tasks:
            which = task.name if number == 0 else f"{task.name}, pass {number + 1}"
            if number and task.name not in results:
                continue
            remaining = seconds - (around.clock() - begin)
            # A pass after the first takes no longer: its compilations are cached, where any are.
            if remaining <= took.get(task.name, 0.0):
                left_out[which] = f"the part's {seconds:g} s were over"
            else:
                around.say(f"  {which}")
                start = around.clock()
                try:
                    found = around.worker(task, remaining, part.name)
                    results[task.name] = combine(results.get(task.name), found)
                except JaxnextError as error:
                    left_out[which] = str(error)
                took[task.name] = around.clock() - start
            if which in left_out:
                around.say(f"  {which} is left out: {left_out[which]}")
    record |= {"seconds": around.clock() - begin, **part.facts, "left_out": left_out}
    if not results:
        record["failed"] = next(iter(left_out.values()))
    return record | {"results": {name: finish(found, part) for name, found in results.items()}}


def combine(before: dict[str, Any] | None, found: dict[str, Any]) -> dict[str, Any]:
    """The record of one more pass joined to that of the passes before it."""
    if before is None or "samples" not in found:
        return found
    later = [*before.get("later_compile_seconds", []), found["compile_seconds"]]
    peaks = [record["peak_memory_bytes"] for record in (before, found) if record["peak_memory_bytes"] is not None]
    return before | {
        "samples": [*before["samples"], *found["samples"]],
        "later_compile_seconds": later,
        "peak_memory_bytes": max(peaks, default=None),
    }


def finish(record: dict[str, Any], part: Part) -> dict[str, Any]:
    """Adds median, least and images a second to a record with samples."""
    if "samples" not in record:
        return record
    timing = Timing(tuple(record["samples"]))
    return {**timing.to_json(), "images_per_second": part.options["batch_size"] / timing.median, **record}


def failures(names: Sequence[str]) -> str:
    """The sentence for parts that failed."""
    what = "part" if len(names) == 1 else "parts"
    return f"no candidate of the {what} {', '.join(names)} could be measured; the file says why"


def _is_done(part: Part, result: dict[str, Any], file: Path) -> bool:
    record = result["parts"].get(part.name)
    if record is None or "failed" in record:
        return False
    _check_options(part.name, record, part, [*{**record["options"], **part.options}], file)
    return True


def _check_options(name: str, record: dict[str, Any], part: Part, keys: Sequence[str], file: Path) -> None:
    for key in keys:
        there, here = record["options"].get(key), part.options.get(key)
        if there != here:
            remedy = f"{'give --again to measure it again, or ' if name == part.name else ''}name another file"
            raise UsageError(f"--json {file}: it has the part {name} with {key} {there}, found {key} {here}; {remedy}")
