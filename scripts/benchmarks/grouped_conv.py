"""``benchmark.py grouped_conv``: every formulation of the grouped convolution against PyTorch's ``conv2d``.

Forward alone, and forward and backward together: the result and the gradients of both operands of
``sum(y * cotangent)``. The formulations are those that ``ops.grouped_conv`` names.
"""

import argparse
import re
import time
import typing
from typing import Any, NamedTuple

from benchmarks.report import PRECISIONS, Say, count, failure, text_table, where
from benchmarks.timing import Candidate, Timing, measure_in_turn, ratio
from jaxnext.errors import UsageError

HELP = "every formulation of the grouped convolution, and PyTorch's"
SHAPES = ((56, 56, 128), (28, 28, 256), (14, 14, 512), (7, 7, 1024))
"""Height, width, channels of the 3x3 convolutions in the four stages of a ResNeXt-50 at 224 x 224 pixels."""
RULE = "rule"
"""The formulation that ``ops.grouped_conv`` chooses by itself."""
TORCH = ("torch_contiguous", "torch_channels_last")
DIRECTIONS = ("forward", "forward_backward")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this measurement's options."""
    parser.add_argument("--batch_size", type=count, default=4, help="images in a call")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of both operands")
    parser.add_argument("--groups", type=count, default=32, help="divides the channels of every shape")
    parser.add_argument("--stride", type=int, choices=(1, 2), default=1, help="of both axes")
    parser.add_argument("--shapes", type=_shape, nargs="+", default=SHAPES, metavar="HxWxC", help="of each input")
    parser.add_argument("--formulations", nargs="+", metavar="NAME", help="beside the rule's; None: all of them")
    parser.add_argument("--all", action="store_true", help="also what is slow on a CPU: XLA's gradient, Pallas")
    parser.add_argument(
        "--seconds", type=float, default=600, help="after which, for a shape and direction, no more are compiled"
    )


def run(options: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Measure.

    Returns:
        the result as JSON has it. For each shape and direction a record for each formulation, for the rule and for
        PyTorch's two memory layouts, with its median over the better of these two; ``None`` for what was left out, and
        why. ``rule_picks`` names the formulation that compiles to the same program as the rule's, ``None`` where none
        does.

    Raises:
        JaxnextError: torch does not see the GPU.
        UsageError: the groups do not divide the channels, or no such formulation.
    """
    for shape in options.shapes:
        if shape[2] % options.groups:
            name = shape_name(shape)
            raise UsageError(f"--groups: expected a divisor of the channels of {name}, found {options.groups}")
    import torch  # pyright: ignore[reportMissingImports]

    from benchmarks import machine
    from jaxnext.ops.grouped_formulations import NAMES

    for name in options.formulations or ():
        if name not in NAMES:
            raise UsageError(f"--formulations: expected some of {', '.join(NAMES)}, found {name!r}")
    machine.prepare()
    device = machine.prepare_torch(torch)
    keys = ("batch_size", "precision", "groups", "stride", "rounds")
    result: dict[str, Any] = {key: getattr(options, key) for key in keys} | {
        "machine": machine.describe(),
        "shapes": {},
    }
    for shape in options.shapes:
        name = shape_name(shape)
        say(f"{name}: compiling and measuring")
        result["shapes"][name] = _measure_shape(torch, device, shape, options.formulations or NAMES, options)
    return result


def table(result: dict[str, Any]) -> str:
    """Return the result for readers."""
    blocks = [
        f"grouped 3x3 convolution, batch {result['batch_size']}, {result['groups']} groups, stride {result['stride']}, "
        f"{result['precision']}, {result['rounds']} rounds; {where(result['machine'])}"
    ]
    for name, shape in result["shapes"].items():
        rows = [[name, "forward ms", "to torch", "with backward ms", "to torch"]]
        for formulation in shape["forward"]:
            cells = [formulation]
            for direction in DIRECTIONS:
                record = shape[direction][formulation] or {"median_seconds": None, "ratio_to_torch": None}
                seconds, against = record["median_seconds"], record["ratio_to_torch"]
                cells.append("-" if seconds is None else f"{seconds * 1e3:.2f}")
                cells.append("" if against is None else f"{against:.2f}")
            rows.append(cells)
        picks = " and ".join(dict.fromkeys(shape["rule_picks"][direction] or "none alone" for direction in DIRECTIONS))
        left_out = [f"{what}: left out, {why}" for what, why in shape["left_out"].items()]
        blocks.append("\n".join([text_table(rows), f"the rule picks {picks}", *left_out]))
    return "\n\n".join(blocks)


def summary(result: dict[str, Any]) -> dict[str, float | None]:
    """Return the figures that stand for the result."""
    return {
        f"{name}, {direction}, the rule's time over PyTorch's": shape[direction][RULE]["ratio_to_torch"]
        for name, shape in result["shapes"].items()
        for direction in DIRECTIONS
    }


def shape_name(shape: tuple[int, int, int]) -> str:
    """Return ``56x56x128``."""
    return "x".join(map(str, shape))


def _shape(text: str) -> tuple[int, int, int]:
    sizes = text.split("x")
    if len(sizes) != 3:
        raise argparse.ArgumentTypeError(f"expected three numbers such as 56x56x128, found {text!r}")
    height, width, channels = map(count, sizes)
    return height, width, channels


class _Compiled(NamedTuple):
    candidate: Candidate
    program: str


def _measure_shape(
    torch: Any, device: str, shape: tuple[int, int, int], formulations: tuple[str, ...], options: argparse.Namespace
) -> dict[str, Any]:
    arrays = _arrays(shape, options)
    found: dict[str, Any] = {"rule_picks": {}, "left_out": {}}
    for direction in DIRECTIONS:
        programs: dict[str, str] = {}
        candidates: list[Candidate] = []
        begin = time.perf_counter()
        names = (*formulations, RULE, *TORCH)
        for name in names:
            reason = _reason_to_leave_out(name, direction, options)
            if name in formulations and time.perf_counter() - begin > options.seconds:
                reason = f"the {options.seconds:g} s for compilations were over"
            try:
                if reason is None:
                    if name in TORCH:
                        candidate = _torch_candidate(torch, device, name, direction, arrays, options)
                    else:
                        candidate, program = _jax_candidate(name, direction, arrays, options)
                        programs[name] = program
                    # Once, so that what does not fit into memory is left out alone.
                    candidate.wait(candidate.call())
                    candidates.append(candidate)
            except (ValueError, NotImplementedError, RuntimeError) as error:
                if name == RULE:
                    raise
                programs.pop(name, None)
                reason = failure(error)
            if reason is not None:
                found["left_out"][f"{name} {direction}"] = reason
        timings = measure_in_turn(candidates, options.rounds)
        records = {one.name: _record(timings[one.name], timings) | one.facts for one in candidates}
        found[direction] = dict.fromkeys(names) | records
        rules = programs.pop(RULE)
        found["rule_picks"][direction] = next((name for name, program in programs.items() if program == rules), None)
    return found


def _record(timing: Timing, timings: dict[str, Timing]) -> dict[str, Any]:
    return {**timing.to_json(), "ratio_to_torch": ratio(timing, [timings.get(name) for name in TORCH])}


def _reason_to_leave_out(name: str, direction: str, options: argparse.Namespace) -> str | None:
    import jax

    if options.all or jax.default_backend() != "cpu":
        return None
    if name == "native" and direction == "forward_backward":
        return "XLA's own gradient takes seconds on a CPU, --all measures it"
    return "Pallas is interpreted on a CPU, --all measures it" if name == "pallas" else None


def _arrays(shape: tuple[int, int, int], options: argparse.Namespace) -> Any:
    """Input, kernel and cotangent, NHWC and HWIO."""
    import numpy as np

    height, width, channels = shape
    random = np.random.default_rng(0)
    x = random.standard_normal((options.batch_size, height, width, channels), np.float32)
    kernel = random.standard_normal((3, 3, channels // options.groups, channels), np.float32)
    rows, columns = ((size - 1) // options.stride + 1 for size in (height, width))
    return x, kernel, random.standard_normal((options.batch_size, rows, columns, channels), np.float32)


def _jax_candidate(name: str, direction: str, arrays: Any, options: argparse.Namespace) -> _Compiled:
    import jax
    import jax.numpy as jnp

    from benchmarks import machine
    from jaxnext.ops.grouped_conv import Formulation, grouped_conv

    x, kernel, cotangent = (jax.device_put(jnp.asarray(array, options.precision)) for array in arrays)
    formulation = None if name == RULE else typing.cast(Formulation, name)

    def forward(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return grouped_conv(
            x,
            kernel,
            stride=options.stride,
            padding=((1, 1), (1, 1)),
            groups=options.groups,
            formulation=formulation,
        )

    def forward_backward(x: jax.Array, kernel: jax.Array, cotangent: jax.Array) -> Any:
        # The result is returned, too: the convolution is linear, and XLA would leave the forward pass out.
        y, pull_back = jax.vjp(forward, x, kernel)
        return y, pull_back(cotangent)

    function, arguments = (
        (forward, (x, kernel)) if direction == "forward" else (forward_backward, (x, kernel, cotangent))
    )
    begin = time.perf_counter()
    with jax.default_matmul_precision("highest"):
        compiled = jax.jit(function).lower(*arguments).compile()
    facts = {"compile_seconds": time.perf_counter() - begin, "compiled_memory_bytes": machine.compiled_bytes(compiled)}
    candidate = machine.jax_candidate(name, lambda: compiled(*arguments), facts)
    return _Compiled(candidate, _program(compiled.as_text() or ""))


def _program(text: str) -> str:
    """What a compiled program computes: its text without the source lines, its instructions renamed in their order."""
    lines = [
        re.sub(r", metadata=\{[^}]*\}", "", line) for line in text.splitlines() if re.match(r"\s*(ROOT )?%| *}", line)
    ]
    names: dict[str, str] = {}
    return re.sub(r"%[\w.-]+", lambda found: names.setdefault(found[0], f"%{len(names)}"), "\n".join(lines))


def _torch_candidate(
    torch: Any, device: str, name: str, direction: str, arrays: Any, options: argparse.Namespace
) -> Candidate:
    from benchmarks import machine

    layout = torch.channels_last if name == "torch_channels_last" else torch.contiguous_format
    x, kernel, cotangent = (
        torch.from_numpy(array)
        .permute(axes)
        .to(device, getattr(torch, options.precision))
        .contiguous(memory_format=layout)
        for array, axes in zip(arrays, ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2)), strict=True)
    )

    def forward() -> Any:
        return torch.nn.functional.conv2d(x, kernel, stride=options.stride, padding=1, groups=options.groups)

    def infer() -> Any:
        with torch.inference_mode():
            return forward()

    def forward_backward() -> Any:
        y = forward()
        return y, torch.autograd.grad(y, (x, kernel), cotangent)

    if direction == "forward":
        return Candidate(name, infer, machine.waiter(torch, device))
    x.requires_grad_()
    kernel.requires_grad_()
    return Candidate(name, forward_backward, machine.waiter(torch, device))
