"""Which net some tensors are: the fields of a config's ``model`` section, read off names and shapes."""

import re
from collections.abc import Mapping

from jaxnext.config.sections import ModelConfig
from jaxnext.errors import JaxnextError
from jaxnext.porting.heads import head_of
from jaxnext.porting.reparametrised import Source

BACKBONE = ("block", "stage_sizes", "widths", "features", "stem_features", "groups", "block_attention")
"""Fields that say which backbone it is; ``attention`` and ``head`` follow."""

Fields = dict[str, object]


def net_fields(tensors: Mapping[str, Source]) -> Fields | None:
    """Read a net's fields off its tensors; ``None`` where they are no ResNet's.

    Args:
        tensors: under torchvision's names.
    """
    shapes: dict[str, tuple[int, ...]] = {name: getattr(tensor, "shape", ()) for name, tensor in tensors.items()}
    blocks: dict[int, set[int]] = {}
    for name in shapes:
        if match := re.match(r"layer([0-9])\.([0-9]{1,4})\.", name):
            blocks.setdefault(int(match[1]), set()).add(int(match[2]))
    bottleneck = "layer1.0.conv3.weight" in shapes
    last = "conv3" if bottleneck else "conv2"
    stages = sorted(blocks)
    first = [shapes.get(f"layer{stage}.0.conv1.weight", ()) for stage in stages]
    second = shapes.get("layer1.0.conv2.weight", ())
    ends = [shapes.get(f"layer{stage}.0.{last}.weight", ()) for stage in stages]
    stem = shapes.get("conv1.weight", ())
    kernels = [*first, second, *ends, stem]
    if not stages or not all(len(shape) == 4 and min(shape) > 0 for shape in kernels):
        return None
    fields: Fields = {
        "block": "bottleneck" if bottleneck else "basic",
        "stage_sizes": tuple(len(blocks[stage]) for stage in stages),
        "widths": tuple(shape[0] for shape in first),
        "features": tuple(shape[0] for shape in ends),
        "stem_features": stem[0],
        "groups": first[0][0] // second[1],
        "block_attention": "se" if "layer1.0.se.fc1.weight" in shapes else "none",
        "attention": "cbam" if any(".cbam." in name for name in shapes) else "none",
    }
    try:
        head = head_of(tensors)
    except JaxnextError:
        return fields | {"head": "another", "widths of the head": (), "classes": None}
    widths = head.widths if head else ()
    return fields | {
        "head": "none" if head is None else "fc" if widths else "linear",
        "widths of the head": widths,
        "classes": head.outputs if head else None,
    }


def config_fields(model: ModelConfig) -> Fields:
    """Return the fields of a config, as ``net_fields`` reads them; its number of classes is that of its data."""
    fields: Fields = {name: getattr(model, name) for name in BACKBONE[:-1]}
    widths = tuple(model.head.options.get("widths", ())) if model.head.type == "fc" else ()
    return fields | {
        "block_attention": model.block_attention.type,
        "attention": model.attention.type,
        "head": model.head.type,
        "widths of the head": widths,
        "classes": model.classes,
    }


def differences(config: Fields, net: Fields) -> list[str]:
    """Return a line for each field in which a net differs from a config; classes do not count."""
    return [
        f"{name}: expected {_text(config[name])}, found {_text(net[name])}"
        for name in config
        if name != "classes" and config[name] != net[name]
    ]


def _text(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)
