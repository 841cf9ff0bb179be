"""The weight map: which PyTorch tensor holds which leaf of the model, as a table that is read in both directions.

The names are torchvision's (``torchvision/models/resnet.py``, all its nets alike) with timm's squeeze and excitation
at ``se`` in each block, the attention of the original project at ``layer4.cbam`` and its head at ``fc``. Entries are
made from the leaves that a model has, so that any number of blocks, groups and hidden layers is the same table.
"""

import re
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

import numpy as np

from jaxnext.types import LeafPath

Transform = Literal["convolution", "dense", "perceptron", "pointwise", "identity", "counter"]
"""How a tensor is laid out in the two frameworks.

- convolution: OIHW in PyTorch, HWIO here (grouped kernels have I = inputs of one group in both).
- dense: ``(out, in)`` in PyTorch, ``(in, out)`` here.
- perceptron: as dense; from PyTorch also as a 1x1 convolution, ``(out, in, 1, 1)``.
- pointwise: a 1x1 convolution in PyTorch, ``(out, in, 1, 1)``, a dense layer here, ``(in, out)``.
- identity: the same vector.
- counter: a scalar, int64 in PyTorch, int32 here.
"""


class Entry(NamedTuple):
    """A line of the weight map: the PyTorch name and the layouts of one leaf."""

    source: str
    transform: Transform


# Module path in the model -> module name in PyTorch. Stages count from 2 as in the paper, torchvision's layers from 1.
_MODULES: Final = (
    (r"backbone/stem_conv", "conv1", "convolution"),
    (r"backbone/stem_norm", "bn1", "norm"),
    (r"backbone/stage(?P<stage>\d+)_block(?P<block>\d+)/conv(?P<index>\d+)", "{block}.conv{index}", "convolution"),
    (r"backbone/stage(?P<stage>\d+)_block(?P<block>\d+)/norm(?P<index>\d+)", "{block}.bn{index}", "norm"),
    (r"backbone/stage(?P<stage>\d+)_block(?P<block>\d+)/shortcut_conv", "{block}.downsample.0", "convolution"),
    (r"backbone/stage(?P<stage>\d+)_block(?P<block>\d+)/shortcut_norm", "{block}.downsample.1", "norm"),
    (r"backbone/stage(?P<stage>\d+)_block(?P<block>\d+)/attention/hidden", "{block}.se.fc1", "pointwise"),
    (r"backbone/stage(?P<stage>\d+)_block(?P<block>\d+)/attention/output", "{block}.se.fc2", "pointwise"),
    (r"attention/channel/hidden", "layer4.cbam.mlp.0", "perceptron"),
    (r"attention/channel/output", "layer4.cbam.mlp.2", "perceptron"),
    (r"attention/spatial_conv", "layer4.cbam.spatial_conv", "convolution"),
    (r"head/hidden(?P<hidden>\d+)", "fc.{linear}", "dense"),
    (r"head/norm(?P<hidden>\d+)", "fc.{norm}", "norm"),
    (r"head/output", "{output}", "dense"),
)
# (kind of module, collection, leaf) -> PyTorch's name of the leaf and its layout.
_LEAVES: Final[dict[tuple[str, str, str], Entry]] = {
    ("convolution", "params", "kernel"): Entry("weight", "convolution"),
    ("dense", "params", "kernel"): Entry("weight", "dense"),
    ("dense", "params", "bias"): Entry("bias", "identity"),
    ("perceptron", "params", "kernel"): Entry("weight", "perceptron"),
    ("pointwise", "params", "kernel"): Entry("weight", "pointwise"),
    ("pointwise", "params", "bias"): Entry("bias", "identity"),
    ("norm", "params", "scale"): Entry("weight", "identity"),
    ("norm", "params", "bias"): Entry("bias", "identity"),
    ("norm", "batch_stats", "mean"): Entry("running_mean", "identity"),
    ("norm", "batch_stats", "var"): Entry("running_var", "identity"),
    ("norm", "batch_stats", "num_batches_tracked"): Entry("num_batches_tracked", "counter"),
}
# Modules of one hidden layer in the fc head's Sequential: Linear, BatchNorm1d, SiLU, Dropout; without norm one less.
_HIDDEN_LAYER_MODULES: Final = 4


def weight_map(leaves: Iterable[LeafPath]) -> dict[LeafPath, Entry]:
    """Return the PyTorch name and layout of each leaf of a model.

    Args:
        leaves: all leaf paths of the model, collection first. Together they say how many hidden layers the head has,
            and so whether its output layer is ``fc`` or ``fc.8``.

    Returns:
        An entry for each leaf that has a PyTorch counterpart, in the order of ``leaves``. An attention module or head
        with any leaf that the original project's did not have is another one, and gets no entries at all.
    """
    leaves = tuple(leaves)
    hidden = {path[2] for path in leaves if len(path) == 4 and re.fullmatch(r"head/hidden\d+", "/".join(path[1:3]))}
    normed = any(re.fullmatch(r"head/norm\d+", "/".join(path[1:3])) for path in leaves)
    step = _HIDDEN_LAYER_MODULES if normed else _HIDDEN_LAYER_MODULES - 1
    entries = {path: _entry(path, len(hidden), step) for path in leaves}
    other = {path[1] for path, entry in entries.items() if entry is None} - {"backbone"}
    return {path: entry for path, entry in entries.items() if entry is not None and path[1] not in other}


def _entry(path: LeafPath, hidden_layers: int, step: int) -> Entry | None:
    module = "/".join(path[1:-1])
    for pattern, name, kind in _MODULES:
        match = re.fullmatch(pattern, module)
        leaf = _LEAVES.get((kind, path[0], path[-1]))
        if match and leaf:
            return Entry(f"{_module_name(name, match.groupdict(), hidden_layers, step)}.{leaf.source}", leaf.transform)
    return None


def _module_name(template: str, found: dict[str, str], hidden_layers: int, step: int) -> str:
    first = step * (int(found.get("hidden", 1)) - 1)
    name = template.format(
        block=int(found.get("block", 1)) - 1,
        index=found.get("index"),
        linear=first,
        norm=first + 1,
        output=f"fc.{step * hidden_layers}" if hidden_layers else "fc",
    )
    return f"layer{int(found['stage']) - 1}.{name}" if "stage" in found else name


def to_jax(transform: Transform, array: np.ndarray) -> np.ndarray:
    """Return a PyTorch tensor in the model's layout; the dtype stays, but for a counter's. It may be a view.

    Raises:
        ValueError: the tensor's rank does not fit the transform, or a counter does not fit int32.
    """
    if transform == "perceptron" and array.ndim == 4 and array.shape[2:] == (1, 1):
        array = array[:, :, 0, 0]
    _check_rank(transform, array)
    if transform == "convolution":
        return array.transpose(2, 3, 1, 0)
    if transform in ("dense", "perceptron"):
        return array.T
    if transform == "pointwise":
        return array.reshape(array.shape[:2]).T
    if transform == "counter":
        if not 0 <= int(array) <= np.iinfo(np.int32).max:
            raise ValueError(f"expected a count from 0 to 2147483647, found {int(array)}")
        return array.astype(np.int32)
    return array


def to_torch(transform: Transform, array: np.ndarray) -> np.ndarray:
    """Return a leaf of the model in PyTorch's layout: the inverse of ``to_jax``. The result may be a view.

    Raises:
        ValueError: the leaf's rank does not fit the transform.
    """
    _check_rank("dense" if transform == "pointwise" else transform, array)
    if transform == "convolution":
        return array.transpose(3, 2, 0, 1)
    if transform in ("dense", "perceptron"):
        return array.T
    if transform == "pointwise":
        return array.T[:, :, None, None]
    return array.astype(np.int64) if transform == "counter" else array


def torch_shape(transform: Transform, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return PyTorch's shape of a leaf that has ``shape`` in the model."""
    if transform == "convolution" and len(shape) == 4:
        return (shape[3], shape[2], shape[0], shape[1])
    if transform == "pointwise":
        return (*shape[::-1], 1, 1)
    return shape[::-1] if transform in ("dense", "perceptron") else shape


# Names in the order in which torchvision's modules, and their tensors, are defined.
_ORDER: Final = (
    *("conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "se", "fc1", "fc2", "downsample"),
    *("layer", "cbam", "mlp", "spatial_conv", "fc"),
    *("weight", "bias", "running_mean", "running_var", "num_batches_tracked"),
)


def torch_order(source: str) -> list[tuple[int, int]]:
    """Sort key that brings names of the weight map into the order of a PyTorch state dict."""
    key = []
    for piece in source.split("."):
        stage = re.fullmatch(r"layer(\d+)", piece)
        # Numbered modules come before named ones: layer4's CBAM follows its blocks.
        name = -1 if piece.isdecimal() else _ORDER.index("layer" if stage else piece)
        key.append((name, int(piece) if piece.isdecimal() else int(stage[1]) if stage else 0))
    return key


_RANKS: Final[dict[Transform, int]] = {
    "convolution": 4,
    "pointwise": 4,
    "dense": 2,
    "perceptron": 2,
    "identity": 1,
    "counter": 0,
}
"""Of PyTorch's tensors."""


def _check_rank(transform: Transform, array: np.ndarray) -> None:
    if array.ndim != _RANKS[transform]:
        raise ValueError(f"expected {_RANKS[transform]} dimensions, found {array.ndim}")
