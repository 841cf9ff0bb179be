"""A file's tensors for a net, as ``merge`` takes them: selected, renamed, multiplied out, head and all."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.candidates import Described
from jaxnext.porting.files.state_dict import WeightFile, read_weights
from jaxnext.porting.heads import (
    Head,
    fill_biases,
    head_of,
    layers_beside,
    proposal,
    renamed_head,
    summed_up,
    take_head,
    without_head,
)
from jaxnext.porting.reparametrised import Product, Source, multiply_out, unknown_parametrisation
from jaxnext.porting.select import select


class HeadSetting(NamedTuple):
    """The head of a config, where it has hidden layers; a linear one has no widths."""

    widths: tuple[int, ...]
    batch_norm: bool
    activation: str
    activations: Sequence[str]
    """names that it may have"""


class NetWeights(NamedTuple):
    """A file's tensors for a net."""

    arrays: dict[str, np.ndarray]
    """by torchvision's names"""
    layers: tuple[str, ...]
    """tensors beside the net that may be layers between its backbone and its head"""


def net_weights(
    path: Path,
    net: Mapping[str, tuple[int, ...]],
    setting: HeadSetting,
    *,
    key: str | None = None,
    head: bool = True,
    say: Callable[[str], None],
) -> NetWeights:
    """Read what a file holds for a net.

    Args:
        path: the file.
        net: PyTorch's names and shapes of the tensors of the net's backbone, without counters.
        setting: the config's head.
        key: chooses one of several state dicts.
        head: whether the file's head is wanted.
        say: shows a line to the user.

    Raises:
        JaxnextError: the file cannot be read, holds no such tensors or several, or a head that the config does not
            describe.
    """
    file = read_weights(path)
    selected = select(file, net, key)
    aside = file.aside()
    for line in (*([aside] if aside else []), *selected.lines):
        say(line)
    tensors, beside, alias = take_head(selected.tensors, selected.beside)
    if not head:
        tensors = without_head(tensors)
    file.check(_parts(tensors))
    _refuse_unknown(path, tensors)
    if not head:
        say(f"{path}: its head is left aside, as --head none asks for")
    else:
        try:
            found = head_of(tensors)
            lines = [] if found is None else _fitting(found, setting)
        except JaxnextError as error:
            raise JaxnextError(f"{path}: {error}") from None
        if found is not None:
            tensors = renamed_head(tensors, found)
        lines += [f"its head is taken from {alias!a}"] if alias else []
        for line in lines:
            say(f"{path}: {line}")
    if beside:
        say(f"{path}: left aside, as none of the net's: {summed_up(list(beside))}")
    arrays, filled = fill_biases(_values(file, tensors))
    if filled:
        say(f"{path}: {', '.join(filled)}: not in the file; 0")
    return NetWeights(arrays, tuple(layers_beside(beside)))


def _fitting(head: Head, setting: HeadSetting) -> list[str]:
    """Return what is said of a head that the config describes, or that is linear.

    Raises:
        JaxnextError: the config describes another; with the options that describe it.
    """
    moved = [f"{theirs} is its linear head" for theirs, ours in head.names.items() if ours == "fc" != theirs]
    if not head.widths:
        return moved
    other_activation = head.bare and setting.activation != "identity"
    if (head.widths, head.batch_norm) != (setting.widths, setting.batch_norm) or other_activation:
        raise JaxnextError(
            f"its head is {head}, which the config does not describe; give "
            f"{proposal(head, setting.activations)}, or --head none to port the backbone alone"
        )
    as_original = head.batch_norm and all(ours == theirs for theirs, ours in head.names.items())
    known = as_original or head.bare
    return [] if known else [f"the activation of its head is not in the file; {setting.activation}, as the config says"]


def _refuse_unknown(path: Path, tensors: Mapping[str, Source]) -> None:
    if (name := unknown_parametrisation(tensors)) is not None:
        raise JaxnextError(
            f"{path}: the weight at {name!a} is what a parametrisation gives that the file does not hold; "
            "torch.nn.utils.parametrize.remove_parametrizations(module, 'weight') makes it a plain one, to be saved"
        )


def _parts(tensors: Mapping[str, Source]) -> dict[str, Described]:
    """Return the tensors as the file has them; of one in parts each under its name and the part's."""
    parts: dict[str, Described] = {}
    for name, tensor in tensors.items():
        if isinstance(tensor, Product):
            parts |= {f"{name} ({part})": item for part, item in tensor.parts.items()}
        else:
            parts[name] = tensor
    return parts


def _values(file: WeightFile, tensors: Mapping[str, Source]) -> dict[str, np.ndarray]:
    plain = file.arrays({name: tensor for name, tensor in tensors.items() if not isinstance(tensor, Product)})
    arrays: dict[str, np.ndarray] = {}
    for name, tensor in tensors.items():
        if not isinstance(tensor, Product):
            arrays[name] = plain[name]
            continue
        try:
            arrays[name] = multiply_out(tensor.kind, file.arrays(tensor.parts))
        except JaxnextError as error:
            raise JaxnextError(f"{file.path}: the tensor {name!a}: {error}") from None
    return arrays
