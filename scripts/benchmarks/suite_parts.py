"""The parts of ``benchmark.py suite``: what each measures, as data."""

import dataclasses
import json
from typing import Any, Literal

from benchmarks.flops import TRAIN_PER_FORWARD, forward_flops
from benchmarks.jax_steps import NAME
from benchmarks.model import CLASSES
from benchmarks.torch_steps import Mode
from jaxnext.config.sections import Config, Precision
from jaxnext.errors import UsageError
from jaxnext.ops.grouped_conv import Formulation
from jaxnext.ops.grouped_formulations import NAMES

CANDIDATES = ("jaxnext", "torch_channels_last", "torch_compile", "timm_compile")
"""Of the model's parts; ours first."""

AUGMENTATIONS = ("augment_and_normalize", "normalize")
STORED, RECOMPUTED = "stored", "remat"
"""The two candidates of the part ``remat``: activations kept for the backward pass, or computed again."""

Kind = Literal["describe", "ceilings", "model", "convolution", "augmentation"]


@dataclasses.dataclass(frozen=True)
class Options:
    """What the suite measures."""

    config: Config
    """network and optimizer, ``data.image_size``, the augmentation and the seed"""
    name: str
    """of the config"""
    batch_sizes: tuple[int, ...] = (16, 64, 128, 256)
    """of the model's parts; in float32 the first alone"""
    batch_size: int = 64
    """of ``grouped_conv_*``, ``augment`` and ``remat``"""
    rounds: int = 5
    """samples of each function in a pass"""
    passes: int = 2
    """times that a part goes through its candidates; where compilations can be cached, the second finds them"""
    sample_seconds: float = 0.5
    """that a sample of the model or the augmentation lasts at least"""
    convolution_seconds: float = 100.0
    """a formulation of the grouped convolution whose turn to be compiled comes later than that is left out"""
    candidates: tuple[str, ...] = CANDIDATES
    formulations: tuple[Formulation, ...] = NAMES


@dataclasses.dataclass(frozen=True)
class Task:
    """What one process measures."""

    kind: Kind
    name: str
    """of its record in the part's results; of kinds ``model`` and ``augmentation`` the candidate"""
    options: Options
    mode: Mode = "train"
    shape: tuple[int, int, int] = (1, 1, 1)
    stride: int = 1

    @property
    def jax_alone(self) -> bool:
        """Whether PyTorch needs no device memory in the process."""
        return self.kind == "augmentation" or (self.kind == "model" and self.name in (NAME, STORED, RECOMPUTED))


@dataclasses.dataclass(frozen=True)
class Part:
    """What one call measures."""

    name: str
    tasks: tuple[Task, ...]
    passes: int
    options: dict[str, Any]
    """all that the result depends on beside machine and versions, as JSON reads it back"""
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    """that the table needs"""


def parts_of(options: Options) -> list[Part]:
    """Every part, in the order in which they are measured and shown."""
    parts = [_part("ceilings", [Task("ceilings", "ceilings", options)], 1)]
    modes: tuple[Mode, ...] = ("train", "inference")
    for mode in modes:
        parts += [_model_part(mode, _with(options, "bfloat16", size)) for size in options.batch_sizes]
        parts.append(_model_part(mode, _with(options, "float32", options.batch_sizes[0])))
    half = _with(options, "bfloat16", options.batch_size)
    parts += [_convolution_part(stage, half) for stage in range(len(options.config.model.widths))]
    parts.append(_part("augment", [Task("augmentation", name, half) for name in AUGMENTATIONS], options.passes))
    remat = [
        Task("model", name, _with(options, "bfloat16", options.batch_size, remat=name == RECOMPUTED))
        for name in (STORED, RECOMPUTED)
    ]
    return [*parts, _part("remat", remat, options.passes)]


def select(parts: list[Part], names: tuple[str, ...]) -> list[Part]:
    """The parts of these names in their order; all of them where there is none.

    Raises:
        UsageError: no such part; says which there are.
    """
    known = [part.name for part in parts]
    for name in names:
        if name not in known:
            raise UsageError(f"--part: expected one of {', '.join(known)}, found {name!r}")
    return [part for part in parts if not names or part.name in names]


def _with(options: Options, precision: Precision, batch_size: int, remat: bool | None = None) -> Options:
    config = options.config
    model = config.model if remat is None else dataclasses.replace(config.model, remat=remat)
    return dataclasses.replace(
        options, config=dataclasses.replace(config, precision=precision, batch_size=batch_size, model=model)
    )


def _model_part(mode: Mode, options: Options) -> Part:
    config = options.config
    name = f"{mode}_bf16" if config.precision == "bfloat16" else f"{mode}_{config.precision}"
    tasks = [Task("model", candidate, options, mode) for candidate in options.candidates]
    flops = forward_flops(config.model, config.model.classes or CLASSES, config.data.image_size)
    facts = {"mode": mode, "flops_per_image": flops * (TRAIN_PER_FORWARD if mode == "train" else 1)}
    part = _part(f"{name}_{config.batch_size}", tasks, options.passes, facts)
    return dataclasses.replace(part, options=part.options | {"candidates": list(options.candidates)})


def _convolution_part(stage: int, options: Options) -> Part:
    """The 3x3 convolutions of one stage: its first one, which from the second stage on has stride 2, and the others."""
    model = options.config.model
    # The stem and the max-pool halve, and so does the first block of each stage but the first.
    size = -(-options.config.data.image_size // 2 ** (2 + stage))
    channels, blocks = model.widths[stage], model.stage_sizes[stage]
    before = -(-options.config.data.image_size // 2 ** (1 + stage))
    counts = [(size, 1, blocks)] if stage == 0 else [(before, 2, 1), (size, 1, blocks - 1)]
    tasks, in_net = [], {}
    for side, stride, count in counts:
        if count:
            name = f"{side}x{side}x{channels}" + (" stride 2" if stride == 2 else "")
            tasks.append(Task("convolution", name, options, shape=(side, side, channels), stride=stride))
            in_net[name] = count
    part = _part(f"grouped_conv_{stage + 1}", tasks, 1, {"in_net": in_net})
    return dataclasses.replace(part, options=part.options | {"formulations": list(options.formulations)})


def _part(name: str, tasks: list[Task], passes: int, facts: dict[str, Any] | None = None) -> Part:
    config = tasks[0].options.config
    options = {
        "config": tasks[0].options.name,
        "model": {key: value for key, value in dataclasses.asdict(config.model).items() if key != "weights"},
        "image_size": config.data.image_size,
        "batch_size": config.batch_size,
        "precision": config.precision,
        "rounds": tasks[0].options.rounds,
        "passes": passes,
    }
    return Part(name, tuple(tasks), passes, json.loads(json.dumps(options)), facts or {})
