"""Other people's heads: what their tensors say of them, and their names as the weight map has them."""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.pickle_names import Unread
from jaxnext.porting.reparametrised import Source

ALIASES: Final = ("classifier", "head", "linear", "last_linear", "output", "logits", "fc", "head.fc")
"""Names of heads beside a backbone that has a prefix, or in place of ``fc``."""

_SHOWN: Final = 6


class Head(NamedTuple):
    """What the tensors of a head say of it."""

    inputs: int
    widths: tuple[int, ...]
    """of the hidden layers"""
    outputs: int
    batch_norm: bool
    """after each hidden layer"""
    bare: bool
    """whether hidden layers follow one another at once in a Sequential, with no activation between"""
    names: dict[str, str]
    """the weight map's names of its modules, by those that they have"""

    def __str__(self) -> str:
        sizes = " → ".join(map(str, (self.inputs, *self.widths, self.outputs)))
        return f"{sizes}, {'with' if self.batch_norm else 'without'} batch norm" if self.widths else sizes


def take_head(
    tensors: dict[str, Source], beside: dict[str, Source]
) -> tuple[dict[str, Source], dict[str, Source], str]:
    """Return the net's tensors with a head from ``beside`` where they have none, what then is beside it, and its name.

    Args:
        tensors: the net's, under torchvision's names.
        beside: others of the same dict.
    """
    if any(name.partition(".")[0] == "fc" for name in tensors):
        return tensors, beside, ""
    for alias in ALIASES:
        head = {name: name.removeprefix(alias) for name in beside if name.startswith(f"{alias}.")}
        if any(_rank(beside[name]) == 2 for name in head):
            rest = {name: tensor for name, tensor in beside.items() if name not in head}
            return {**tensors, **{f"fc{end}": beside[name] for name, end in head.items()}}, rest, alias
    return tensors, beside, ""


def head_of(tensors: Mapping[str, Source]) -> Head | None:
    """Describe the head at ``fc``; ``None`` where there is none.

    Raises:
        JaxnextError: it is none of linear layers, each hidden one followed by batch norm, or none.
    """
    modules: dict[str, dict[str, Source]] = {}
    for name, tensor in tensors.items():
        module, _, leaf = name.rpartition(".")
        if module.partition(".")[0] == "fc":
            modules.setdefault(module, {})[leaf] = tensor
    if not modules:
        return None
    # Of a Sequential the numbers are the order; safetensors sorts names as text.
    pieces = {module: module.split(".")[1:] for module in modules}
    numbered = all(piece.isdecimal() and len(piece) < 7 for parts in pieces.values() for piece in parts)
    ordered = sorted(modules, key=lambda module: tuple(map(int, pieces[module]))) if numbered else list(modules)
    kinds = "".join(_kind(modules[module]) for module in ordered)
    linear = [module for module, kind in zip(ordered, kinds, strict=True) if kind == "L"]
    shapes = [_shape(modules[module]["weight"]) for module in linear]
    chained = all(first[0] == second[1] for first, second in itertools.pairwise(shapes))
    if not re.fullmatch("(LN)+L|L+", kinds) or not chained:
        raise JaxnextError(
            f"its head is not made of linear layers, each hidden one with batch norm behind it or none "
            f"({_listed([name for name in tensors if name.partition('.')[0] == 'fc'])}); --head none ports the "
            "backbone alone"
        )
    step = 4 if "N" in kinds else 3
    names = {
        module: f"fc.{step * (index // (2 if step == 4 else 1)) + index % 2 * (step == 4)}"
        for index, module in enumerate(ordered)
    }
    if len(linear) == 1:
        names = {linear[0]: "fc"}
    numbers = [int(module.rpartition(".")[2]) for module in linear] if numbered and len(linear) > 1 else []
    return Head(
        shapes[0][1],
        tuple(shape[0] for shape in shapes[:-1]),
        shapes[-1][0],
        step == 4,
        any(b - a == 1 for a, b in itertools.pairwise(numbers)),
        names,
    )


def renamed_head(tensors: Mapping[str, Source], head: Head) -> dict[str, Source]:
    """Return tensors with the head's under the weight map's names."""
    result = {}
    for name, tensor in tensors.items():
        module, dot, leaf = name.rpartition(".")
        result[f"{head.names[module]}{dot}{leaf}" if module in head.names else name] = tensor
    return result


def without_head(tensors: Mapping[str, Source]) -> dict[str, Source]:
    """Return tensors without those at ``fc``."""
    return {name: tensor for name, tensor in tensors.items() if name.partition(".")[0] != "fc"}


def fill_biases(arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return arrays with zeros for the biases that the linear layers of a head at ``fc`` lack, and their names."""
    result: dict[str, np.ndarray] = {}
    filled = []
    for name, array in arrays.items():
        result[name] = array
        bias = name.removesuffix("weight") + "bias"
        if name.partition(".")[0] == "fc" and name.endswith(".weight") and array.ndim == 2 and bias not in arrays:
            result[bias] = np.zeros(array.shape[:1], array.dtype)
            filled.append(bias)
    return result, filled


def proposal(head: Head, activations: Sequence[str]) -> str:
    """Return the options that describe a head with hidden layers; what the file does not hold is to be given."""
    widths = ", ".join(map(str, head.widths))
    norm = "" if head.batch_norm else " --model.head.batch_norm false"
    activation = "identity" if head.bare else "NAME"
    which = "" if head.bare else f" (the activation is not in the file: NAME is one of {', '.join(activations)})"
    return f"--model.head fc --model.head.widths '[{widths}]'{norm} --model.head.activation {activation}{which}"


def layers_beside(beside: Mapping[str, Source]) -> list[str]:
    """Return the names beside a net that may be layers of it: matrices and kernels that are called weight."""
    return [name for name, tensor in beside.items() if name.endswith("weight") and _rank(tensor) >= 2]


def summed_up(names: Sequence[str]) -> str:
    """Return names in one line, those of a family of more than three by their beginning and number."""
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(name.partition(".")[0], []).append(name)
    texts = [
        text
        for family, members in families.items()
        for text in ([f"{family}.* ({len(members):,} tensors)"] if len(members) > 3 else members)
    ]
    return _listed(texts, 12)


def _listed(names: Sequence[str], most: int = _SHOWN) -> str:
    shown = [name if name.isprintable() else ascii(name) for name in names[:most]]
    return ", ".join(shown) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def _kind(leaves: Mapping[str, Source]) -> str:
    """Return L of a linear layer, N of a batch norm, ? of anything else."""
    if "running_mean" in leaves and "running_var" in leaves:
        return "N"
    return (
        "L" if "weight" in leaves and _rank(leaves["weight"]) == 2 and not leaves.keys() - {"weight", "bias"} else "?"
    )


def _shape(tensor: Source) -> tuple[int, ...]:
    return () if isinstance(tensor, Unread) else tensor.shape


def _rank(tensor: Source) -> int:
    return len(_shape(tensor))
