"""Puts PyTorch's tensors into a model's leaves, strictly: nothing is left over or left empty without a word."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.state_dict import AVERAGING_COUNTER
from jaxnext.porting.stages import stage_lengths, summed_up
from jaxnext.porting.torchvision import Entry, to_jax, torch_shape, weight_map
from jaxnext.tree import PARTS, path_name
from jaxnext.types import LeafPath

LINEAR_HEAD: Final = ("fc.weight", "fc.bias")
"""The head of torchvision's models."""

Target = Mapping[LeafPath, tuple[tuple[int, ...], np.dtype]]
"""A model's leaves, each with shape and dtype."""


class Merged(NamedTuple):
    """What ``merge`` made of a source."""

    filled: dict[LeafPath, np.ndarray]
    """Leaves with their values from the source, in the model's layout, shape and dtype; each array is a copy."""
    new: tuple[LeafPath, ...]
    """Leaves that the source does not determine, in the target's order: those of whole parts that it lacks, which the
    caller initialises, and ``num_batches_tracked`` where the source is too old to have any; these are in ``filled``,
    too, with the 0 that a fresh model has."""
    left_out: tuple[str, ...]
    """Tensors of the source that were not used: a linear head that does not fit, the counter of averaged weights."""
    parts: tuple[str, ...]
    """Those of ``PARTS`` that the source filled."""


def source_classes(source: Mapping[str, np.ndarray]) -> int | None:
    """Return the number of classes of the head in ``source``, or None where it has none.

    It is the output size of ``fc``, or else of the last layer with a matrix in the Sequential ``fc``.
    """
    indices = [
        int(match[1])
        for name, array in source.items()
        if (match := re.fullmatch(r"fc\.([0-9]{1,6})\.weight", name)) and array.ndim == 2
    ]
    name = "fc.weight" if "fc.weight" in source else f"fc.{max(indices, default=0)}.weight"
    return source[name].shape[0] if name in source and source[name].ndim == 2 else None


def merge(target: Target, source: Mapping[str, np.ndarray], *, name: str, require_head: bool = False) -> Merged:
    """Fill a model's leaves from a PyTorch state dict.

    Every tensor of the source is used, or it is on the short list of what may be left out: ``fc.weight`` and
    ``fc.bias`` with another number of classes than the model's, or where the model's head is of another kind, and the
    counter ``n_averaged``. Every leaf of the backbone is filled. Attention and head are each filled as a whole, or new
    as a whole where the source has no tensor of them.

    Args:
        target: the model's leaves.
        source: arrays by PyTorch's names, as ``load_state_dict`` gives them.
        name: the source's name (its file), for the error.
        require_head: whether a source whose head is missing or does not fit is an error.

    Returns:
        The values, and what was new and left out.

    Raises:
        JaxnextError: something does not fit: tensors missing, unused, of another shape, integers where numbers are
            expected or the reverse, values that are not finite. One error names all of them, a line each (one for
            a stage of another length), with leaf path, PyTorch's name, expected and found shape in PyTorch's layout.
    """
    entries = weight_map(target)
    left_out = [key for key in source if key == AVERAGING_COUNTER]
    if not require_head:
        left_out += _unfit_head(target, entries, source)
    usable = {key: array for key, array in source.items() if key not in left_out}
    absent = {part for part in PARTS[1:] if not _has_part(part, entries, usable)}
    if require_head:
        absent.discard("head")
    uncounted = not any(key.endswith("num_batches_tracked") for key in source)
    filled: dict[LeafPath, np.ndarray] = {}
    new: list[LeafPath] = []
    lengths, elsewhere = stage_lengths((entry.source for entry in entries.values()), usable)
    problems: list[str] = lengths
    for path, (shape, dtype) in target.items():
        entry = entries.get(path)
        if path[1] in absent:
            new.append(path)
        elif entry is None:
            problems.append(f"{path_name(path)}: has no counterpart in PyTorch")
        elif entry.source in usable:
            value = _value(usable[entry.source], entry, shape, np.dtype(dtype))
            if isinstance(value, str):
                problems.append(f"{path_name(path)} ({entry.source}): {value}")
            else:
                filled[path] = value
        elif entry.source in elsewhere:
            continue
        elif entry.transform == "counter" and uncounted:
            filled[path] = np.zeros(shape, dtype)
            new.append(path)
        else:
            expected = torch_shape(entry.transform, shape)
            problems.append(f"{path_name(path)} ({entry.source}): expected {expected}, found nothing")
    used = {entry.source for path, entry in entries.items() if path[1] not in absent}
    unused = [key for key in usable if key not in used and key not in elsewhere]
    lines = {key: f"{_shown(key)}: expected nothing, found {usable[key].shape}" for key in unused}
    problems += summed_up(unused, lines)
    if problems:
        raise JaxnextError(_report(name, problems, unused))
    present = {path[1] for path in target} - absent
    return Merged(filled, tuple(new), tuple(left_out), tuple(part for part in PARTS if part in present))


def _has_part(part: str, entries: Mapping[LeafPath, Entry], source: Mapping[str, np.ndarray]) -> bool:
    return any(path[1] == part and entry.source in source for path, entry in entries.items())


def _unfit_head(target: Target, entries: Mapping[LeafPath, Entry], source: Mapping[str, np.ndarray]) -> list[str]:
    """Return the names of the source's linear head, if it is whole and the model's head has another kind or size."""
    weight, bias = (source.get(key) for key in LINEAR_HEAD)
    if weight is None or bias is None or weight.ndim != 2 or bias.shape != weight.shape[:1]:
        return []
    for path, entry in entries.items():
        if entry.source == "fc.weight":
            shape = torch_shape(entry.transform, target[path][0])
            # Another number of inputs is no matter of classes: it stays a mismatch.
            return list(LINEAR_HEAD) if shape[0] != weight.shape[0] and shape[1:] == weight.shape[1:] else []
    return list(LINEAR_HEAD)


def _value(array: np.ndarray, entry: Entry, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray | str:
    """Return the array in the model's layout and dtype, or what is wrong with it."""
    expected = torch_shape(entry.transform, shape)
    found = array.shape[:2] if entry.transform == "perceptron" and array.shape[2:] == (1, 1) else array.shape
    if found != expected:
        return f"expected {expected}, found {array.shape}"
    if entry.transform == "counter":
        if array.dtype.kind not in "iu":
            return f"expected a whole number, found {array.dtype}"
    elif array.dtype.kind in "iub":
        return f"expected floating-point numbers, found {array.dtype}"
    try:
        # A float64 beyond float32's range becomes infinite here, and is found below.
        with np.errstate(over="ignore", invalid="ignore"):
            value = np.array(to_jax(entry.transform, array), dtype, order="C")
    except ValueError as error:
        return str(error)
    if entry.transform == "counter":
        return value
    # NumPy's isfinite knows bfloat16 only through float32.
    bad = value.size - int(np.count_nonzero(np.isfinite(value.astype(np.float32) if dtype.kind == "V" else value)))
    return f"expected finite numbers, found {bad:,} that are not finite in {dtype}" if bad else value


def _shown(name: str) -> str:
    return name if name.isprintable() else ascii(name)


def _report(name: str, problems: list[str], unused: list[str]) -> str:
    hint = ""
    if any(".cbam." in key for key in unused):
        hint = "; the source has CBAM weights, so use a config with attention (cbam, fc_cbam)"
    elif any(".se." in key for key in unused):
        hint = "; the source has squeeze and excitation in its blocks, so use a config with --model.block_attention se"
    elif any(re.match(r"fc\.\d+\.", key) for key in unused):
        hint = "; the source has the fc head, so use a config with that head (fc, fc_cbam) and its widths"
    count = f"{len(problems):,} mismatch{'es' if len(problems) > 1 else ''}"
    lines = "\n".join(f"  {line}" for line in problems)
    return f"{name}: does not fit the model: {count} (shapes as PyTorch writes them){hint}\n{lines}"
