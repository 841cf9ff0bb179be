"""``benchmark.py model``: training step and inference of a network against PyTorch's.

In one process, mode after mode, the functions run in turn over several rounds on the same images, on one device. Our
training step is that of ``fit`` but for the augmentation, which PyTorch's does not have either; our inference is that
of ``predict``, from bytes to probabilities, where PyTorch's goes from normalised images to logits.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import jax_steps, machine, resident, torch_model, torch_steps
from benchmarks.flops import TRAIN_PER_FORWARD, forward_flops
from benchmarks.report import text_table
from benchmarks.timing import Clock, Timing, measure_in_turn, ratio
from jaxnext.config.sections import Config
from jaxnext.engine.network import network
from jaxnext.engine.out_of_memory import out_of_memory
from jaxnext.models.initialisation import initialise

CLASSES = 100
"""Where the config leaves the number of classes to the data; the original project's data has as many."""

MODES: tuple[torch_steps.Mode, ...] = ("inference", "train")

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured."""

    config: Config
    """network, optimizer, precision, ``batch_size`` and ``data.image_size``"""
    name: str
    """of the config"""
    rounds: int = 5
    torch_compile: bool = True
    """whether ``torch.compile`` is measured, too"""


def run(options: Options, *, cores: int, clock: Clock, say: Say) -> dict[str, Any]:
    """Measure.

    Args:
        options: what.
        cores: threads of PyTorch; JAX takes as many as the process may use, which this should be.
        clock: seconds.
        say: told what is being done, and what failed.

    Returns:
        the result as JSON has it. ``train`` and ``inference`` hold a record for each function (``None`` where
        ``torch.compile`` was left out or failed), ``*_ratio_to_torch`` our median over the better of eager and
        channels_last PyTorch, ``*_ratio_to_torch_compile`` that over ``torch.compile``. A record's
        ``peak_memory_bytes`` is, on a CPU, the most that one call had resident beyond what was so before it (weights,
        optimizer state, and PyTorch's gradients of the call before), ``None`` where the system does not count that; on
        a GPU the most that was allocated, weights included. ``compiled_memory_bytes`` of ours is what the compiler
        planned: arguments, results and temporaries.

    Raises:
        JaxnextError: torch is not installed, does not see the GPU, or memory ran out.
        UsageError: a network of which PyTorch's side is not there.
    """
    torch = torch_model.import_torch()
    config = options.config
    torch_model.check(config.model)
    device = machine.prepare_torch(torch, cores)
    classes = config.model.classes or CLASSES
    flops = forward_flops(config.model, classes, config.data.image_size) * config.batch_size
    result: dict[str, Any] = {
        "command": "model",
        "config": options.name,
        "image_size": config.data.image_size,
        "batch_size": config.batch_size,
        "precision": config.precision,
        "rounds": options.rounds,
        "machine": machine.describe(cores),
        "versions": machine.versions(torch),
        "threads": {"jax": cores, "torch": torch.get_num_threads()},
        "flops": {"inference": flops, "train": TRAIN_PER_FORWARD * flops},
    }
    say("preparing the network")
    variables = initialise(network(config.model, classes, config.precision), config.seed)
    records, timings = {}, {}
    for mode in MODES:
        with out_of_memory(config.batch_size, config.data.image_size):
            records[mode], timings[mode] = _measure(torch, device, mode, options, classes, variables, clock, say)
    # After the networks: their buffers would count as the most that was in use.
    say("measuring the machine's ceilings")
    result["ceilings"] = machine.ceilings(torch, device, config.precision, clock)
    peak = result["ceilings"]["jax_matmul_flops_per_second"]
    for mode in reversed(MODES):
        for name, timing in timings[mode].items():
            records[mode][name] |= _rates(timing, config.batch_size, result["flops"][mode], peak)
        result[mode] = records[mode]
    return result | _ratios(timings)


def table(result: dict[str, Any]) -> str:
    """The result for readers."""
    machine_name = result["machine"]["gpu"] or f"{result['machine']['cpu']}, {result['threads']['jax']} threads"
    size = result["image_size"]
    lines = [
        f"{result['config']}, {size} x {size} pixels, batch {result['batch_size']}, {result['precision']}, "
        f"{result['rounds']} rounds; {machine_name}"
    ]
    for mode, title in (("train", "training step"), ("inference", "inference")):
        rows = [[title, "median s", "least s", "images/s", "GFLOP/s", "of peak", "compile s", "memory MB"]]
        rows += [_row(name, record) for name, record in result[mode].items()]
        lines += ["", text_table(rows)]
        for other, words in (("torch", "the better of eager and channels_last PyTorch"), ("torch_compile", "")):
            value = result[f"{mode}_ratio_to_{other}"]
            if value is not None:
                lines.append(f"time over that of {words or 'torch.compile'}: {value:.2f}")
    ceilings = result["ceilings"]
    lines += [
        "",
        f"peak, a matrix product: {ceilings['jax_matmul_flops_per_second'] / 1e9:.0f} GFLOP/s in jax, "
        f"{ceilings['torch_matmul_flops_per_second'] / 1e9:.0f} in torch; "
        f"copy: {ceilings['copy_bytes_per_second'] / 1e9:.1f} GB/s read and written",
        ", ".join(f"{name} {version}" for name, version in result["versions"].items()),
    ]
    return "\n".join(lines)


def _measure(
    torch: Any,
    device: str,
    mode: torch_steps.Mode,
    options: Options,
    classes: int,
    variables: Any,
    clock: Clock,
    say: Say,
) -> tuple[dict[str, Any], dict[str, Timing]]:
    config = options.config
    size = config.data.image_size
    random = np.random.default_rng(config.seed)
    images = random.standard_normal((config.batch_size, size, size, 3), np.float32)
    say(f"{mode}: compiling")
    if mode == "train":
        ours = jax_steps.prepare_training(config, classes, variables, images, clock)
    else:
        pixels = random.integers(0, 256, images.shape, np.uint8)
        ours = jax_steps.prepare_inference(config, classes, variables, pixels, clock)
    records: dict[str, Any] = {
        ours.candidate.name: {
            "compile_seconds": ours.compile_seconds,
            "peak_memory_bytes": ours.device_peak_memory_bytes,
            "compiled_memory_bytes": ours.compiled_memory_bytes,
        }
    }
    candidates = [ours.candidate]
    for variant in (*torch_steps.EAGER, torch_steps.COMPILED):
        theirs = None
        if variant != torch_steps.COMPILED or options.torch_compile:
            say(f"{mode}: first call of {variant}")
            theirs = _prepared(torch, device, variant, mode, config, classes, images, clock, say)
        records[variant] = None
        if theirs is not None:
            candidates.append(theirs.candidate)
            records[variant] = {
                "first_call_seconds": theirs.first_call_seconds,
                "peak_memory_bytes": theirs.peak_memory_bytes,
            }
    say(f"{mode}: measuring {len(candidates)} functions in {options.rounds} rounds")
    timings = measure_in_turn(candidates, options.rounds, clock)
    if device == "cpu":
        for candidate in candidates:
            records[candidate.name]["peak_memory_bytes"] = resident.peak_of(lambda one=candidate: one.wait(one.call()))
    return records, timings


def _prepared(
    torch: Any,
    device: str,
    variant: torch_steps.Variant,
    mode: torch_steps.Mode,
    config: Config,
    classes: int,
    images: np.ndarray,
    clock: Clock,
    say: Say,
) -> torch_steps.Prepared | None:
    arguments = (torch, device, variant, mode, config, classes, images, clock)
    if variant != torch_steps.COMPILED:
        return torch_steps.prepare(*arguments)
    try:
        return torch_steps.prepare(*arguments)
    except Exception as error:  # whatever the compiler, or the lack of one, raises
        reason = (str(error).strip().splitlines() or [""])[0]
        say(f"{mode}: torch.compile failed and is left out ({type(error).__name__}: {reason})")
        return None


def _rates(timing: Timing, images: int, flops: int, peak: float) -> dict[str, float]:
    return {
        **timing.to_json(),
        "images_per_second": images / timing.median,
        "flops_per_second": flops / timing.median,
        "share_of_matmul_peak": flops / timing.median / peak,
    }


def _ratios(timings: dict[str, dict[str, Timing]]) -> dict[str, float | None]:
    ratios = {}
    for mode in reversed(MODES):
        measured = timings[mode]
        ours = measured[jax_steps.NAME]
        ratios[f"{mode}_ratio_to_torch"] = ratio(ours, [measured[name] for name in torch_steps.EAGER])
        ratios[f"{mode}_ratio_to_torch_compile"] = ratio(ours, [measured.get(torch_steps.COMPILED)])
    return ratios


def _row(name: str, record: dict[str, Any] | None) -> list[str]:
    if record is None:
        return [name, "not measured"]
    compilation = record.get("compile_seconds", record.get("first_call_seconds"))
    memory = record["peak_memory_bytes"]
    return [
        name,
        f"{record['median_seconds']:.4f}",
        f"{record['least_seconds']:.4f}",
        f"{record['images_per_second']:.1f}",
        f"{record['flops_per_second'] / 1e9:.1f}",
        f"{record['share_of_matmul_peak']:.0%}",
        f"{compilation:.1f}",
        "" if memory is None else f"{memory / 1e6:.0f}",
    ]
