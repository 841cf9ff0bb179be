"""The names under which others keep the tensors of a ResNet, as tables; each gives torchvision's."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final, NamedTuple

WRAPPER_PARTS: Final = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Modules that PyTorch puts around others, anywhere in a name: ``torch.compile``, FSDP, checkpointing."""


class Dialect(NamedTuple):
    """One way to name the tensors of a ResNet."""

    text: str
    """what is said where it is found; empty: nothing"""
    anchor: str
    """the name of the first convolution of the first block; what stands before it is a prefix"""
    renames: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]
    """patterns of the beginnings of names, and what gives torchvision's; a name that begins with none stays"""


def _to(template: str) -> Callable[[re.Match[str]], str]:
    return lambda match: match.expand(template)


def _in_block(match: re.Match[str]) -> str:
    """Return torchvision's name of a module in a block of transformers' ``ResNetModel``."""
    stage, block, module, kind = int(match[1]) + 1, match[2], match[3], match[4]
    if module == "shortcut":
        return f"layer{stage}.{block}.downsample.{0 if kind == 'convolution' else 1}."
    return f"layer{stage}.{block}.{'conv' if kind == 'convolution' else 'bn'}{int(module[6:]) + 1}."


DIALECTS: Final = (
    Dialect("", "layer1.0.conv1.weight", ()),
    Dialect(
        "torchvision's names, with the stem in layer0",
        "layer1.0.conv1.weight",
        ((re.compile(r"layer0\.0\."), _to("conv1.")), (re.compile(r"layer0\.1\."), _to("bn1."))),
    ),
    Dialect(
        "the position of torchvision's modules in a Sequential",
        "4.0.conv1.weight",
        (
            (re.compile(r"0\."), _to("conv1.")),
            (re.compile(r"1\."), _to("bn1.")),
            (re.compile(r"([4-7])\."), lambda match: f"layer{int(match[1]) - 3}."),
            # Behind the pooling at 8, which has no tensors, and perhaps a Flatten.
            (re.compile(r"(9|1[0-9])\."), _to(r"fc.\1.")),
        ),
    ),
    Dialect(
        "the names of Hugging Face's transformers",
        "encoder.stages.0.layers.0.layer.0.convolution.weight",
        (
            (re.compile(r"embedder\.embedder\.convolution\."), _to("conv1.")),
            (re.compile(r"embedder\.embedder\.normalization\."), _to("bn1.")),
            (
                re.compile(
                    r"encoder\.stages\.([0-9])\.layers\.([0-9]{1,4})\.(shortcut|layer\.[0-9])"
                    r"\.(convolution|normalization)\."
                ),
                _in_block,
            ),
        ),
    ),
)
"""From torchvision's own on."""


PARTS: Final = ("conv1", "bn1", "fc", "n_averaged", *(f"layer{number}" for number in range(10)))
"""How the names of a net's tensors begin, and that of the counter beside it."""

_MOST_PREFIXES: Final = 8


class Sighting(NamedTuple):
    """A net's names among others."""

    prefix: str
    """what stands before them"""
    dialect: Dialect
    names: dict[str, str]
    """torchvision's names, and the names there"""


def sightings(names: Collection[str]) -> list[Sighting]:
    """List every way to see a net in some names: by each dialect, with each prefix that its first block has."""
    found = []
    for dialect in DIALECTS:
        for prefix in list(prefixes(names, dialect))[:_MOST_PREFIXES]:
            renamed = {rename(name.removeprefix(prefix), dialect): name for name in names if name.startswith(prefix)}
            own = {ours: name for ours, name in renamed.items() if ours.partition(".")[0] in PARTS}
            if "n_averaged" in names and prefix:
                own["n_averaged"] = "n_averaged"
            found.append(Sighting(prefix, dialect, own))
    return found


def without_wrappers(name: str) -> str:
    """Return a name without ``WRAPPER_PARTS``."""
    if not any(part in name for part in WRAPPER_PARTS):
        return name
    return ".".join(part for part in name.split(".") if part not in WRAPPER_PARTS)


def prefixes(names: Iterable[str], dialect: Dialect) -> Iterator[str]:
    """Yield what stands before the names of each net among ``names``, in their order."""
    for name in names:
        if name == dialect.anchor or name.endswith(f".{dialect.anchor}"):
            yield name.removesuffix(dialect.anchor)


def rename(name: str, dialect: Dialect) -> str:
    """Return torchvision's name of a tensor, or the name itself where the dialect has no other."""
    for pattern, ours in dialect.renames:
        if match := pattern.match(name):
            return ours(match) + name[match.end() :]
    return name
