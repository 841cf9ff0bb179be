"""``benchmark.py grouped_conv``: every formulation of the grouped convolution against PyTorch's ``conv2d``.

Forward alone, and forward and backward together: the result and the gradients of both operands of
``sum(y * cotangent)``. The formulations are those that ``ops.grouped_conv`` names.
"""

import dataclasses
import math
import re
import typing
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import machine, torch_model
from benchmarks.report import failure, text_table
from benchmarks.timing import Candidate, Clock, Timing, measure_in_turn, ratio
from jaxnext.config.sections import Precision
from jaxnext.ops.grouped_conv import Formulation, grouped_conv
from jaxnext.ops.grouped_formulations import NAMES

SHAPES = ((56, 56, 128), (28, 28, 256), (14, 14, 512), (7, 7, 1024))
"""Height, width, channels of the 3x3 convolutions in the four stages of a ResNeXt-50 at 224 x 224 pixels."""

RULE = "rule"
"""The formulation that ``ops.grouped_conv`` chooses by itself."""

TORCH = ("torch_contiguous", "torch_channels_last")

Direction = Literal["forward", "forward_backward"]
DIRECTIONS: tuple[Direction, ...] = ("forward", "forward_backward")

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured."""

    batch_size: int = 4
    precision: Precision = "float32"
    groups: int = 32
    stride: int = 1
    rounds: int = 5
    everything: bool = False
    """also what takes seconds a call: on a CPU XLA's own gradient, and Pallas, which is interpreted there"""
    shapes: tuple[tuple[int, int, int], ...] = SHAPES
    formulations: tuple[Formulation, ...] = NAMES
    """beside the rule's"""
    seconds: float = math.inf
    """a formulation whose turn comes later than that, of a shape and direction, is left out"""


def run(options: Options, *, cores: int, clock: Clock, say: Say) -> dict[str, Any]:
    """Measure.

    Args:
        options: what; ``groups`` divides the channels of every shape.
        cores: threads of PyTorch; JAX takes as many as the process may use, which this should be.
        clock: seconds.
        say: told what is being done.

    Returns:
        the result as JSON has it. For each shape and direction a record for each formulation, for the rule and for
        PyTorch's two memory layouts, with its median over the better of these two; ``None`` for what was left out, and
        why. ``rule_picks`` names the formulation that compiles to the same program as the rule's, ``None`` where none
        does.

    Raises:
        JaxnextError: torch is not installed or does not see the GPU.
    """
    torch = torch_model.import_torch()
    device = machine.prepare_torch(torch, cores)
    result: dict[str, Any] = {
        "command": "grouped_conv",
        "batch_size": options.batch_size,
        "precision": options.precision,
        "groups": options.groups,
        "stride": options.stride,
        "rounds": options.rounds,
        "machine": machine.describe(cores),
        "versions": machine.versions(torch),
        "threads": {"jax": cores, "torch": torch.get_num_threads()},
        "shapes": {},
    }
    for shape in options.shapes:
        name = shape_name(shape)
        say(f"{name}: compiling and measuring")
        result["shapes"][name] = _measure_shape(torch, device, shape, options, clock)
    return result


def table(result: dict[str, Any]) -> str:
    """The result for readers."""
    where = result["machine"]["gpu"] or f"{result['machine']['cpu']}, {result['threads']['jax']} threads"
    blocks = [
        f"grouped 3x3 convolution, batch {result['batch_size']}, {result['groups']} groups, stride {result['stride']}, "
        f"{result['precision']}, {result['rounds']} rounds; {where}"
    ]
    for name, shape in result["shapes"].items():
        rows = [[name, "forward ms", "to torch", "with backward ms", "to torch"]]
        for formulation in shape["forward"]:
            cells = [formulation]
            for direction in DIRECTIONS:
                record = shape[direction][formulation]
                if record is None:
                    cells += ["-", ""]
                else:
                    against = record["ratio_to_torch"]
                    cells += [f"{record['median_seconds'] * 1e3:.2f}", "" if against is None else f"{against:.2f}"]
            rows.append(cells)
        picks = " and ".join(dict.fromkeys(shape["rule_picks"][direction] or "none alone" for direction in DIRECTIONS))
        left_out = [f"{what}: left out, {why}" for what, why in shape["left_out"].items()]
        blocks.append("\n".join([text_table(rows), f"the rule picks {picks}", *left_out]))
    blocks.append(", ".join(f"{name} {version}" for name, version in result["versions"].items()))
    return "\n\n".join(blocks)


def shape_name(shape: tuple[int, int, int]) -> str:
    """``56x56x128``."""
    return "x".join(map(str, shape))


class _Compiled(NamedTuple):
    candidate: Candidate
    program: str
    facts: dict[str, Any]
    """of its record: the seconds of its compilation and the bytes that the compiler planned"""


def _measure_shape(
    torch: Any, device: str, shape: tuple[int, int, int], options: Options, clock: Clock
) -> dict[str, Any]:
    arrays = _arrays(shape, options)
    found: dict[str, Any] = {"rule_picks": {}, "left_out": {}}
    for direction in DIRECTIONS:
        compiled: dict[str, _Compiled] = {}
        candidates: list[Candidate] = []
        names = (*options.formulations, RULE)
        begin = clock()
        for name in (*names, *TORCH):
            reason = _reason_to_leave_out(name, direction, options)
            if name in options.formulations and clock() - begin > options.seconds:
                reason = f"the {options.seconds:g} s for compilations were over"
            if reason is None:
                try:
                    if name in TORCH:
                        candidate = _torch_candidate(torch, device, name, direction, arrays, options)
                    else:
                        compiled[name] = _jax_candidate(name, direction, arrays, options, clock)
                        candidate = compiled[name].candidate
                    # Once, so that what does not fit into memory is left out alone.
                    candidate.wait(candidate.call())
                    candidates.append(candidate)
                except (ValueError, NotImplementedError, RuntimeError) as error:
                    if name == RULE:
                        raise
                    compiled.pop(name, None)
                    reason = failure(error)
            if reason is not None:
                found["left_out"][f"{name} {direction}"] = reason
        timings = measure_in_turn(candidates, options.rounds, clock)
        found[direction] = {
            name: _record(timings.get(name), timings, compiled[name].facts if name in compiled else {})
            for name in (*names, *TORCH)
        }
        rules = compiled.pop(RULE).program
        found["rule_picks"][direction] = next((name for name, one in compiled.items() if one.program == rules), None)
    return found


def _record(timing: Timing | None, timings: dict[str, Timing], facts: dict[str, Any]) -> dict[str, Any] | None:
    if timing is None:
        return None
    to_torch = ratio(timing, [timings.get(name) for name in TORCH])
    return {**timing.to_json(), "ratio_to_torch": to_torch, **facts}


def _reason_to_leave_out(name: str, direction: Direction, options: Options) -> str | None:
    if options.everything or jax.default_backend() != "cpu":
        return None
    if name == "native" and direction == "forward_backward":
        return "XLA's own gradient takes seconds on a CPU, --all measures it"
    return "Pallas is interpreted on a CPU, --all measures it" if name == "pallas" else None


def _arrays(shape: tuple[int, int, int], options: Options) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Input, kernel and cotangent, NHWC and HWIO."""
    height, width, channels = shape
    random = np.random.default_rng(0)
    x = random.standard_normal((options.batch_size, height, width, channels), np.float32)
    kernel = random.standard_normal((3, 3, channels // options.groups, channels), np.float32)
    rows, columns = ((size - 1) // options.stride + 1 for size in (height, width))
    return x, kernel, random.standard_normal((options.batch_size, rows, columns, channels), np.float32)


def _jax_candidate(name: str, direction: Direction, arrays: Any, options: Options, clock: Clock) -> _Compiled:
    x, kernel, cotangent = (jax.device_put(jnp.asarray(array, options.precision)) for array in arrays)
    formulation = None if name == RULE else typing.cast("Formulation", name)

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

    begin = clock()
    with jax.default_matmul_precision("highest"):
        if direction == "forward":
            arguments, compiled = (x, kernel), jax.jit(forward).lower(x, kernel).compile()
        else:
            arguments = (x, kernel, cotangent)
            compiled = jax.jit(forward_backward).lower(*arguments).compile()
    facts = {"compile_seconds": clock() - begin, "compiled_memory_bytes": machine.compiled_bytes(compiled)}
    candidate = machine.jax_candidate(name, lambda: compiled(*arguments))
    return _Compiled(candidate, _program(compiled.as_text() or ""), facts)


def _program(text: str) -> str:
    """What a compiled program computes: its text without the source lines, its instructions renamed in their order."""
    lines = [
        re.sub(r", metadata=\{[^}]*\}", "", line) for line in text.splitlines() if re.match(r"\s*(ROOT )?%| *}", line)
    ]
    names: dict[str, str] = {}
    return re.sub(r"%[\w.-]+", lambda found: names.setdefault(found[0], f"%{len(names)}"), "\n".join(lines))


def _torch_candidate(
    torch: Any, device: str, name: str, direction: Direction, arrays: Any, options: Options
) -> Candidate:
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
