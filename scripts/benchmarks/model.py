"""``benchmark.py model``: training step and inference of a network against PyTorch's.

In one process, mode after mode, the functions run in turn over several rounds on the same images, on one device. Our
training step is that of ``fit`` but for the augmentation, which PyTorch's does not have either; our inference is that
of ``predict``, from bytes to probabilities, where PyTorch's goes from normalised images to logits.

A GPU's memory is kept by whoever once had it: where both sides' largest batches do not fit beside each other, measure
one of the ``--candidates`` a call.
"""

import argparse
import os
from typing import Any

from benchmarks.report import CONFIGS, PRECISIONS, Say, count, failure, shaped, text_table, where
from benchmarks.timing import Candidate, Timing, measure_in_turn, ratio

HELP = "training step and inference of a network, and PyTorch's"
OURS = "jaxnext"
EAGER = ("torch_eager", "torch_channels_last")
"""The better of these is what ratios "to torch" are against."""
COMPILED = "torch_compile"
RUNTIMES = ("onnxruntime", "openvino")
"""That infer with PyTorch's export."""
CANDIDATES = (OURS, *EAGER, COMPILED, "timm_channels_last", "timm_compile", *RUNTIMES)
MODES = ("train", "inference")
CLASSES = 100
"""Where the config leaves the number of classes to the data; the original project's data has as many."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this measurement's options."""
    parser.add_argument("--config", default="baseline", help="name of a file in configs/, or the path of a .yaml file")
    parser.add_argument("--image_size", type=count, default=224, help="pixels on each side")
    parser.add_argument("--batch_size", type=count, default=8, help="images in a step; on a GPU 16, 64, 128, 256")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="bfloat16 is autocast's in PyTorch")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES, help="what is measured")
    parser.add_argument("--remat", action="store_true", help="our step computes activations again in its backward pass")
    parser.add_argument(
        "--candidates",
        nargs="+",
        choices=CANDIDATES,
        default=CANDIDATES[:4],
        help="timm's is its own linear net; onnxruntime and openvino infer with PyTorch's export",
    )
    parser.add_argument("--sample_seconds", type=float, default=0.02, help="that a sample lasts at least")
    parser.add_argument(
        "--memory_fraction", type=float, help="of a GPU's memory, for JAX from the start; None: as much as it asks for"
    )


def run(options: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Measure.

    Returns:
        the result as JSON has it. ``train`` and ``inference`` hold a record for each candidate (``None``: it failed,
        ``left_out`` says why), ``*_ratio_to_torch`` our median over the better of eager and channels_last PyTorch,
        ``*_ratio_to_torch_compile`` that over ``torch.compile``, and so on. A record's ``peak_memory_bytes`` is, on a
        CPU, the most that one call had resident beyond what was so before it (weights, optimizer state, and PyTorch's
        gradients of the call before), ``None`` where the system does not count that; on a GPU the most that was
        allocated, weights included.

    Raises:
        JaxnextError: torch does not see the GPU, memory ran out, or PyTorch's side of the network is not there.
    """
    if options.memory_fraction is not None:
        # As in training, so that memory is not fragmented.
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "true"
        os.environ["XLA_CLIENT_MEM_FRACTION"] = str(options.memory_fraction)
    config = _config(options)
    torch = None
    if tuple(options.candidates) != (OURS,):
        import torch  # pyright: ignore[reportMissingImports]
    from benchmarks import machine, torch_model
    from benchmarks.flops import TRAIN_PER_FORWARD, forward_flops
    from jaxnext.engine.out_of_memory import out_of_memory

    torch_model.check(config.model)
    machine.prepare()
    device = machine.prepare_torch(torch) if torch else ""
    flops = forward_flops(config.model, config.model.classes or CLASSES, options.image_size) * options.batch_size
    result: dict[str, Any] = {
        **{key: getattr(options, key) for key in ("config", "image_size", "batch_size", "precision", "rounds")},
        "remat": config.model.remat,
        "machine": machine.describe(),
        "flops": {"inference": flops, "train": TRAIN_PER_FORWARD * flops},
        "left_out": {},
    }
    timings: dict[str, dict[str, Timing]] = {}
    for mode in options.modes:
        with out_of_memory(options.batch_size, options.image_size):
            candidates = _candidates(torch, device, mode, options, config, result["left_out"], say)
            say(f"{mode}: measuring {len(candidates)} functions in {options.rounds} rounds")
            timings[mode] = measure_in_turn(candidates, options.rounds, least_seconds=options.sample_seconds)
        result[mode] = dict.fromkeys(options.candidates) | _records(candidates, timings[mode])
        ours = timings[mode].get(OURS)
        result[f"{mode}_ratio_to_torch"] = ratio(ours, [timings[mode].get(name) for name in EAGER])
        for other in (COMPILED, *RUNTIMES):
            result[f"{mode}_ratio_to_{other}"] = ratio(ours, [timings[mode].get(other)])
    # After the networks: their buffers would count as the most that was in use.
    say("measuring the machine's ceilings")
    result["ceilings"] = machine.ceilings(torch, device, options.precision)
    for mode in options.modes:
        for name, timing in timings[mode].items():
            rate = result["flops"][mode] / timing.median
            result[mode][name] |= {
                "images_per_second": options.batch_size / timing.median,
                "flops_per_second": rate,
                "share_of_matmul_peak": rate / result["ceilings"]["jax_matmul_flops_per_second"],
            }
    return result


def table(result: dict[str, Any]) -> str:
    """Return the result for readers."""
    lines = [
        f"{result['config']}{' with remat' * result['remat']}, {result['image_size']} x {result['image_size']} pixels, "
        f"batch {result['batch_size']}, {result['precision']}, {result['rounds']} rounds; {where(result['machine'])}"
    ]
    for mode, title in (("train", "training step"), ("inference", "inference")):
        if mode not in result:
            continue
        rows = [[title, "median s", "least s", "images/s", "GFLOP/s", "of peak", "compile s", "memory MB"]]
        rows += [_row(name, record) for name, record in result[mode].items()]
        lines += ["", text_table(rows)]
        others = {"torch": "the better of eager and channels_last PyTorch", "torch_compile": "torch.compile"}
        for other, words in (others | {runtime: runtime for runtime in RUNTIMES}).items():
            value = result[f"{mode}_ratio_to_{other}"]
            if value is not None:
                lines.append(f"time over that of {words}: {value:.2f}")
    lines += [f"{what}: left out, {why}" for what, why in result["left_out"].items()]
    ceilings = result["ceilings"]
    products = [
        f"{ceilings[key] / 1e9:.0f} GFLOP/s in {side}"
        for side in ("jax", "torch")
        if (key := f"{side}_matmul_flops_per_second") in ceilings
    ]
    copies = f"{ceilings['copy_bytes_per_second'] / 1e9:.1f} GB/s read and written"
    return "\n".join([*lines, "", f"peak, a matrix product: {', '.join(products)}; copy: {copies}"])


def summary(result: dict[str, Any]) -> dict[str, float | None]:
    """Return the figures that stand for the result."""
    modes = [mode for mode in MODES if mode in result]
    return {f"{mode}, time over PyTorch's": result[f"{mode}_ratio_to_torch"] for mode in modes} | {
        f"{mode}, images/s": result[mode][OURS]["images_per_second"] for mode in modes if result[mode].get(OURS)
    }


def _config(options: argparse.Namespace) -> Any:
    from jaxnext.config.yaml_text import find_config

    _, config = find_config(options.config, CONFIGS)
    return shaped(config, options)


def _candidates(
    torch: Any, device: str, mode: str, options: argparse.Namespace, config: Any, left_out: dict[str, str], say: Say
) -> list[Candidate]:
    import numpy as np

    from benchmarks import jax_steps, runtimes, torch_steps
    from jaxnext.engine.network import network
    from jaxnext.models.initialisation import initialise

    classes = config.model.classes or CLASSES
    shape = (config.batch_size, options.image_size, options.image_size, 3)
    images = np.random.default_rng(config.seed).standard_normal(shape, np.float32)
    found = []
    for name in options.candidates:
        say(f"{mode}: compiling and calling {name}")
        if name == OURS:
            variables = initialise(network(config.model, classes, config.precision), config.seed)
            found.append(jax_steps.prepare(mode, config, classes, variables, images))
            continue
        try:
            if name in RUNTIMES:
                found.append(runtimes.prepare(torch, name, mode, config, classes, images))
            else:
                found.append(torch_steps.prepare(torch, device, name, mode, config, classes, images))
        except Exception as error:  # whatever a compiler, or the lack of one, raises: the others are measured
            left_out[f"{name} {mode}"] = failure(error)
            say(f"{name} {mode} is left out: {failure(error)}")
    return found


def _records(candidates: list[Candidate], timings: dict[str, Timing]) -> dict[str, dict[str, Any]]:
    import jax

    from benchmarks import resident

    records = {}
    for one in candidates:
        records[one.name] = {**one.facts, **timings[one.name].to_json()}
        if jax.default_backend() == "cpu":
            records[one.name]["peak_memory_bytes"] = resident.peak_of(lambda one=one: one.wait(one.call()))
    return records


def _row(name: str, record: dict[str, Any] | None) -> list[str]:
    if record is None:
        return [name, "not measured"]
    memory = record["peak_memory_bytes"]
    return [
        name,
        f"{record['median_seconds']:.4f}",
        f"{record['least_seconds']:.4f}",
        f"{record['images_per_second']:.1f}",
        f"{record['flops_per_second'] / 1e9:.1f}",
        f"{record['share_of_matmul_peak']:.0%}",
        f"{record['compile_seconds']:.1f}",
        "" if memory is None else f"{memory / 1e6:.0f}",
    ]
