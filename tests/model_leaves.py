"""Leaves of the four settings by path, written down here rather than asked of the models: shape and dtype of each."""

import numpy as np

from jaxnext.types import LeafPath

FLOAT, INT = np.dtype("float32"), np.dtype("int32")
Leaves = dict[LeafPath, tuple[tuple[int, ...], np.dtype]]


def _norm(leaves: Leaves, module: str, features: int) -> None:
    path = tuple(module.split("/"))
    for collection, names in (("params", ("scale", "bias")), ("batch_stats", ("mean", "var"))):
        leaves.update({(collection, *path, name): ((features,), FLOAT) for name in names})
    leaves["batch_stats", *path, "num_batches_tracked"] = ((), INT)


def _kernel(leaves: Leaves, module: str, *shape: int, bias: bool = False) -> None:
    path = ("params", *module.split("/"))
    leaves[*path, "kernel"] = (shape, FLOAT)
    if bias:
        leaves[*path, "bias"] = (shape[-1:], FLOAT)


def leaves_of(
    stage_sizes: tuple[int, ...] = (1, 1, 1, 1),
    widths: tuple[int, ...] = (4, 8, 8, 8),
    features: tuple[int, ...] = (8, 16, 16, 32),
    groups: int = 2,
    stem: int = 4,
    attention: bool = False,
    hidden: tuple[int, ...] = (),
    classes: int = 5,
    basic: bool = False,
    squeeze: int | None = None,
) -> Leaves:
    """All leaves of a network; ``hidden`` are the widths of the fc head, empty for the linear one.

    ``basic`` blocks have two 3x3 convolutions; ``squeeze`` is what squeeze and excitation in every block divides by.
    """
    leaves: Leaves = {}
    _kernel(leaves, "backbone/stem_conv", 7, 7, 3, stem)
    _norm(leaves, "backbone/stem_norm", stem)
    inputs = stem
    for stage, (blocks, width, outputs) in enumerate(zip(stage_sizes, widths, features, strict=True), start=2):
        for block in range(1, blocks + 1):
            name = f"backbone/stage{stage}_block{block}"
            bottleneck = ((1, inputs, width), (3, width // groups, width), (1, width, outputs))
            convolutions = ((3, inputs, width), (3, width, outputs)) if basic else bottleneck
            for index, (size, before, after) in enumerate(convolutions, start=1):
                _kernel(leaves, f"{name}/conv{index}", size, size, before, after)
                _norm(leaves, f"{name}/norm{index}", after)
            if squeeze is not None:
                _kernel(leaves, f"{name}/attention/hidden", outputs, outputs // squeeze, bias=True)
                _kernel(leaves, f"{name}/attention/output", outputs // squeeze, outputs, bias=True)
            if block == 1 and (inputs != outputs or stage > 2):
                _kernel(leaves, f"{name}/shortcut_conv", 1, 1, inputs, outputs)
                _norm(leaves, f"{name}/shortcut_norm", outputs)
            inputs = outputs
    if attention:
        _kernel(leaves, "attention/channel/hidden", inputs, inputs // 16)
        _kernel(leaves, "attention/channel/output", inputs // 16, inputs)
        _kernel(leaves, "attention/spatial_conv", 7, 7, 2, 1)
    for index, size in enumerate(hidden, start=1):
        _kernel(leaves, f"head/hidden{index}", inputs, size, bias=True)
        _norm(leaves, f"head/norm{index}", size)
        inputs = size
    _kernel(leaves, "head/output", inputs, classes, bias=True)
    return leaves
