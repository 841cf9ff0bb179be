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
) -> Leaves:
    """All leaves of a network; ``hidden`` are the widths of the fc head, empty for the linear one."""
    leaves: Leaves = {}
    _kernel(leaves, "backbone/stem_conv", 7, 7, 3, stem)
    _norm(leaves, "backbone/stem_norm", stem)
    inputs = stem
    for stage, (blocks, width, outputs) in enumerate(zip(stage_sizes, widths, features, strict=True), start=2):
        for block in range(1, blocks + 1):
            name = f"backbone/stage{stage}_block{block}"
            _kernel(leaves, f"{name}/conv1", 1, 1, inputs, width)
            _kernel(leaves, f"{name}/conv2", 3, 3, width // groups, width)
            _kernel(leaves, f"{name}/conv3", 1, 1, width, outputs)
            for index, size in enumerate((width, width, outputs), start=1):
                _norm(leaves, f"{name}/norm{index}", size)
            if block == 1:
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
