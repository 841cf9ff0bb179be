"""What one process of ``benchmark.py suite`` measures.

Each candidate has a process of its own: JAX and PyTorch both keep the device memory that they once had, so that in one
process the second would find too little of it for the large batches.
"""

import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np

from benchmarks import convolutions, jax_steps, machine, torch_model, torch_steps
from benchmarks.model import CLASSES
from benchmarks.suite_parts import AUGMENTATIONS, Task
from benchmarks.timing import Candidate, Clock, measure_in_turn
from jaxnext.augment.original import Drawn, augment
from jaxnext.engine.network import network
from jaxnext.errors import UsageError
from jaxnext.models.initialisation import initialise
from jaxnext.normalization import normalize

OPTIONAL = ("timm", "triton")
VARIANTS = (jax_steps.NAME, *torch_steps.EAGER, torch_steps.COMPILED, *torch_steps.TIMM)
"""Candidates of the model's parts."""

Say = Callable[[str], None]


def measure(task: Task, cache: Path, *, cores: int, clock: Clock, say: Say) -> dict[str, Any]:
    """The record of a task, as JSON has it.

    Args:
        task: what to measure.
        cache: folder in which JAX keeps what it compiles; on a CPU it keeps nothing, as oneDNN is not called then.
        cores: threads of PyTorch; JAX takes as many as the process may use, which this should be.
        clock: seconds.
        say: told what is being done.

    Returns:
        of ``describe`` ``machine``, ``system`` and ``versions``; of ``ceilings`` those of each precision; of
        ``convolution`` what ``convolutions.run`` has for a shape; of the others ``samples``, the seconds of a call in
        each round, seconds of compilation and peak memory.

    Raises:
        Exception: whatever JAX or PyTorch raises where it cannot be measured.
    """
    if jax.default_backend() != "cpu":
        jax.config.update("jax_enable_compilation_cache", True)
        jax.config.update("jax_compilation_cache_dir", str(cache))
    if task.kind == "describe":
        return _describe(cores)
    if task.kind == "ceilings":
        torch = torch_model.import_torch()
        device = machine.prepare_torch(torch, cores)
        return {kind: machine.ceilings(torch, device, kind, clock) for kind in ("bfloat16", "float32")}
    if task.kind == "convolution":
        return _convolution(task, cores, clock, say)
    if task.kind == "augmentation":
        return _augmentation(task, clock)
    if task.jax_alone:
        return _own_model(task, clock)
    return _torch_model(task, cores, clock)


def check(candidates: tuple[str, ...]) -> None:
    """Refuse a candidate that there is not.

    Raises:
        UsageError: says which there are.
    """
    for name in candidates:
        if name not in VARIANTS:
            raise UsageError(f"--candidates: expected some of {', '.join(VARIANTS)}, found {name!r}")


def _describe(cores: int) -> dict[str, Any]:
    torch = torch_model.import_torch()
    machine.torch_device(torch)
    described = machine.describe(cores)
    versions: dict[str, str | None] = {**machine.versions(torch), "torch's CUDA": torch.version.cuda}
    for name in OPTIONAL:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    # A machine that is lent again may have another kernel.
    return {"system": described.pop("system"), "machine": described, "versions": versions}


def _own_model(task: Task, clock: Clock) -> dict[str, Any]:
    config = task.options.config
    classes = config.model.classes or CLASSES
    variables = initialise(network(config.model, classes, config.precision), config.seed)
    images, pixels = _images(task)
    if task.mode == "train":
        prepared = jax_steps.prepare_training(config, classes, variables, images, clock)
    else:
        prepared = jax_steps.prepare_inference(config, classes, variables, pixels, clock)
    samples = _samples(prepared.candidate, task, clock)
    peak = machine.device_peak_bytes()
    return {
        "samples": samples,
        "compile_seconds": prepared.compile_seconds,
        "peak_memory_bytes": prepared.compiled_memory_bytes if peak is None else peak,
        "compiled_memory_bytes": prepared.compiled_memory_bytes,
    }


def _torch_model(task: Task, cores: int, clock: Clock) -> dict[str, Any]:
    torch = torch_model.import_torch()
    device = machine.prepare_torch(torch, cores)
    config = task.options.config
    classes = config.model.classes or CLASSES
    variant = cast("torch_steps.Variant", task.name)
    prepared = torch_steps.prepare(torch, device, variant, task.mode, config, classes, _images(task)[0], clock)
    samples = _samples(prepared.candidate, task, clock)
    return {
        "samples": samples,
        "compile_seconds": prepared.first_call_seconds,
        "peak_memory_bytes": torch_steps.peak_of_a_call(torch, device, prepared.candidate.call),
        "first_call_peak_memory_bytes": prepared.peak_memory_bytes,
    }


def _images(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Normalised ones as float32, and bytes."""
    config = task.options.config
    size = config.data.image_size
    random = np.random.default_rng(config.seed)
    images = random.standard_normal((config.batch_size, size, size, 3), np.float32)
    return images, random.integers(0, 256, images.shape, np.uint8)


def _samples(candidate: Candidate, task: Task, clock: Clock) -> list[float]:
    timings = measure_in_turn([candidate], task.options.rounds, clock, task.options.sample_seconds)
    return list(timings[candidate.name].samples)


def _convolution(task: Task, cores: int, clock: Clock, say: Say) -> dict[str, Any]:
    config = task.options.config
    options = convolutions.Options(
        batch_size=config.batch_size,
        precision=config.precision,
        groups=config.model.groups,
        stride=task.stride,
        rounds=task.options.rounds,
        everything=True,
        shapes=(task.shape,),
        formulations=task.options.formulations,
        seconds=task.options.convolution_seconds,
    )
    result = convolutions.run(options, cores=cores, clock=clock, say=say)
    return result["shapes"][convolutions.shape_name(task.shape)]


def _augmentation(task: Task, clock: Clock) -> dict[str, Any]:
    config = task.options.config
    size, dtype = config.data.image_size, config.precision
    drawn = config.augment[0].build().draw(config.seed, 0, config.batch_size, size)
    arguments = jax.device_put((_images(task)[1], drawn))
    both = task.name == AUGMENTATIONS[0]

    def function(pixels: jax.Array, parameters: Drawn) -> jax.Array:
        return normalize(augment(pixels, parameters) if both else pixels, dtype)

    begin = clock()
    compiled = jax.jit(function).lower(*arguments).compile()
    seconds = clock() - begin
    candidate = machine.jax_candidate(task.name, lambda: compiled(*arguments))
    samples = _samples(candidate, task, clock)
    planned, peak = machine.compiled_bytes(compiled), machine.device_peak_bytes()
    return {
        "samples": samples,
        "compile_seconds": seconds,
        "peak_memory_bytes": planned if peak is None else peak,
        "compiled_memory_bytes": planned,
    }
