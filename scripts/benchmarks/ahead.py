"""``benchmark.py ahead``: what the compiler says of the training step and of inference on a machine that is not there.

Nothing runs. Cycles are the compiler's estimates, bytes are those of each kernel's operands and results: they order
alternatives, and are no measurements.
"""

import argparse
import time
from typing import Any

from benchmarks.report import CONFIGS, PRECISIONS, Say, count, shaped, text_table
from jaxnext.errors import UsageError

HELP = "what the compiler says of the net on a TPU or GPU that is not there"
MODES = ("train", "inference")
TOP = 20
"""Kernels that are listed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this measurement's options."""
    parser.add_argument("--target", default="v5e:2x2", help="v5e:2x2, v5p:2x2x1, v6e:2x2, h100, h100:8, h200, a100")
    parser.add_argument("--config", default="baseline", help="name of a file in configs/, or the path of a .yaml file")
    parser.add_argument("--precision", choices=PRECISIONS, default="bfloat16")
    parser.add_argument("--image_size", type=count, default=224, help="pixels on each side")
    parser.add_argument("--batch_size", type=count, default=32, help="images of each device")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES, help="what is compiled")
    parser.add_argument("--classes", type=count, default=100, help="outputs")
    parser.add_argument("--remat", action="store_true", help="the step computes activations again in its backward pass")


def run(options: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Compile, and read the programs.

    Returns:
        the result as JSON has it: the target's limits and, for each mode, the seconds of compilation, kernels, bytes,
        estimated cycles (0 on GPUs), FLOPs of the convolutions and products, bytes of memory, collectives, the same by
        part of the net, the most expensive kernels, and the least milliseconds that arithmetic and memory allow.

    Raises:
        UsageError: no such target or config.
        JaxnextError: the target's compiler is not installed.
    """
    import jax

    # The plugins of the targets are asked by name; what computes here is the CPU.
    jax.config.update("jax_platforms", "cpu")
    from benchmarks import targets

    chip = targets.chip_of(options.target)
    devices = targets.devices(options.target)
    config = _config(options)
    keys = ("target", "config", "precision", "image_size", "batch_size", "classes", "remat")
    result: dict[str, Any] = {key: getattr(options, key) for key in keys}
    result |= {"devices": len(devices), "jax": jax.__version__, "chip": chip.name}
    for mode in options.modes:
        say(f"{mode}: compiling for {len(devices)} {chip.name}")
        result[mode] = _record(options, config, chip, devices, mode)
    return result


def table(result: dict[str, Any]) -> str:
    """Return the result for readers."""
    title = (
        f"{result['config']}, {result['precision']}, {result['image_size']} x {result['image_size']} pixels, "
        f"{result['batch_size']} images on each of {result['devices']} {result['chip']}, jax {result['jax']}; "
        "compiled, not run"
    )
    blocks = [title]
    for mode in MODES:
        if mode not in result:
            continue
        record = result[mode]
        found = ", ".join(f"{v['count']} {k} ({v['bytes'] / 1e6:.1f} MB)" for k, v in record["collectives"].items())
        lines = [
            f"{mode}: {record['kernels']} kernels, {record['bytes'] / 1e9:.1f} GB between them"
            + (f", {record['cycles'] / 1e6:.1f} million estimated cycles" if record["cycles"] else ""),
            f"temporary memory {record['temporary_bytes'] / 1e9:.2f} of {record['device_bytes'] / 1e9:.0f} GB; "
            f"at least {record['arithmetic_ms']:.1f} ms of arithmetic and {record['memory_ms']:.1f} ms of memory; "
            f"compiled in {record['compile_seconds']:.0f} s",
            f"collectives: {found or 'none'}",
        ]
        rows = [["part", "kernels", "GB", "M cycles"]]
        for part, values in record["parts"].items():
            cells = [str(values["kernels"]), f"{values['bytes'] / 1e9:.2f}", f"{values['cycles'] / 1e6:.2f}"]
            rows.append([part, *cells])
        kinds = [["kind", "kernels", "GB", "M cycles"]]
        for kind, values in record["kinds"].items():
            cells = [str(values["kernels"]), f"{values['bytes'] / 1e9:.2f}", f"{values['cycles'] / 1e6:.2f}"]
            kinds.append([kind, *cells])
        top = [["most expensive", "MB", "M cycles", "operation"]]
        for kernel in record["top"]:
            cells = [f"{kernel['bytes'] / 1e6:.0f}", f"{kernel['cycles'] / 1e6:.2f}", kernel["source"][-90:]]
            top.append([kernel["name"], *cells])
        blocks += ["\n".join(lines), text_table(rows), text_table(kinds), text_table(top)]
    return "\n\n".join(blocks)


def summary(result: dict[str, Any]) -> dict[str, float | None]:
    """Return the figures that stand for the result."""
    return {
        f"{mode}, {name}": result[mode][name]
        for mode in MODES
        if mode in result
        for name in ("kernels", "bytes", "cycles", "temporary_bytes")
    }


def _config(options: argparse.Namespace) -> Any:
    from jaxnext.config.yaml_text import find_config

    _, config = find_config(options.config, CONFIGS)
    if config.data.sizes != (config.data.size,) and "train" in options.modes:
        raise UsageError(f"--config {options.config}: expected one size of images, found {config.data.sizes}")
    return shaped(config, options)


def _record(options: argparse.Namespace, config: Any, chip: Any, devices: list[Any], mode: str) -> dict[str, Any]:
    from benchmarks import absent_steps, compiled_text, targets
    from benchmarks.flops import TRAIN_PER_FORWARD, forward_flops

    lowered = (absent_steps.training if mode == "train" else absent_steps.inference)(config, options.classes, devices)
    begin = time.perf_counter()
    compiled = lowered.compile(compiler_options=targets.GPU_OPTIONS if chip.gpu else None)
    seconds = time.perf_counter() - begin
    text = compiled.as_text()
    found = compiled_text.kernels(text)
    memory = compiled.memory_analysis()
    moved = sum(kernel.bytes for kernel in found)
    arithmetic = forward_flops(config.model, options.classes, options.image_size) * options.batch_size
    arithmetic *= TRAIN_PER_FORWARD if mode == "train" else 1
    return {
        "compile_seconds": seconds,
        "kernels": len(found),
        "bytes": moved,
        "cycles": sum(kernel.cycles for kernel in found),
        "temporary_bytes": memory.temp_size_in_bytes,
        "argument_bytes": memory.argument_size_in_bytes,
        "device_bytes": chip.memory,
        "collectives": compiled_text.collectives(text),
        "parts": compiled_text.summed(found, lambda kernel: compiled_text.part_of(kernel.source)),
        "kinds": compiled_text.summed(found, lambda kernel: kernel.kind, most=TOP),
        "top": [
            kernel._asdict()
            for kernel in sorted(found, key=lambda kernel: (kernel.cycles, kernel.bytes))[: -TOP - 1 : -1]
        ],
        "flops": arithmetic,
        "arithmetic_ms": 1e3 * arithmetic / chip.flops,
        "memory_ms": 1e3 * moved / chip.bytes_per_second,
    }
