"""A checkpoint to a file that PyTorch reads: the file that orders the side effects of ``export_weights.py``."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import safetensors.numpy

from jaxnext.atomic import whole_file
from jaxnext.engine.checkpoint import preprocessing, read_model
from jaxnext.errors import JaxnextError
from jaxnext.porting.files.write_torch import write_torch
from jaxnext.porting.torchvision import to_torch, torch_order, weight_map
from jaxnext.tree import PARTS, flatten, path_name
from jaxnext.types import LeafPath

ExportFormat = Literal["pth", "safetensors"]
"""PyTorch's zip format, or safetensors."""


def export_weights(
    checkpoint: Path,
    which: str,
    output: Path,
    form: ExportFormat,
    classes: Path | None,
    *,
    say: Callable[[str], None],
) -> None:
    """Write a checkpoint's weights under PyTorch's names and in its layouts. Each file appears whole or not at all.

    torchvision's network, with the original project's attention at ``layer4.cbam`` and its head at ``fc``, loads the
    file with ``strict=True``. Parts that are not trained are not written.

    Args:
        checkpoint: folder of a run or of a ported checkpoint.
        which: ``best`` or ``last``.
        output: the file; one that is there is replaced.
        form: its format. A safetensors file has the class names as a JSON list in its metadata, under ``classes``, and
            how an image becomes an input under ``preprocessing``; a ``.pth`` file has no place for them.
        classes: text file that receives the class names, a name a line in the order of the outputs, or ``None``.
        say: shows a line to the user.

    Raises:
        JaxnextError: no such checkpoint; a part that PyTorch has no counterpart of, every leaf of it named; class names
            asked for that are not there or are not lines; a file that cannot be written.
    """
    variables, meta = read_model(checkpoint, which)
    leaves = {path: np.asarray(leaf) for path, leaf in flatten(variables).items() if path[1] in meta.trained}
    tensors = torch_tensors(leaves, str(checkpoint))
    names = None if classes is None else class_lines(meta.classes, str(checkpoint), str(classes))
    with contextlib.ExitStack() as files:
        file = files.enter_context(whole_file(output, "wb"))
        if form == "pth":
            write_torch(file, tensors)
        else:
            about = {"format": "pt", "preprocessing": json.dumps(preprocessing(meta.config))}
            if meta.classes is not None:
                about["classes"] = json.dumps(meta.classes)
            file.write(safetensors.numpy.save(tensors, about))
        if classes is not None and names is not None:
            files.enter_context(whole_file(classes)).write(names)
    parts = [part for part in PARTS if part in meta.trained]
    if "head" not in parts:
        say(f"{checkpoint}: holds no trained head; {output} holds the {' and the '.join(parts)} alone")
    elif form == "pth" and classes is None:
        say(f"a .pth file has no place for class names; write their order beside it with --classes {output.stem}.txt")
    count = sum(array.size for path, array in leaves.items() if path[0] == "params")
    say(f"{output}: {', '.join(parts)}; {len(tensors):,} tensors, {count:,} parameters")
    if classes is not None:
        say(f"{classes}: {len(meta.classes or ()):,} class names")


def torch_tensors(leaves: dict[LeafPath, np.ndarray], name: str) -> dict[str, np.ndarray]:
    """Return a PyTorch state dict of a model's leaves, in its order; arrays in C order, as safetensors needs them.

    Args:
        leaves: by path, collection first.
        name: of the checkpoint, for the error.

    Raises:
        JaxnextError: leaves without a counterpart in PyTorch; all of them are named.
    """
    entries = weight_map(leaves)
    foreign = [path_name(path) for path in leaves if path not in entries]
    if foreign:
        raise JaxnextError(
            f"{name}: expected attention and head that PyTorch has a counterpart of (cbam after the last stage, se in "
            "the blocks; linear or fc), found leaves without one:\n  " + "\n  ".join(foreign)
        )
    tensors = {
        entry.source: np.array(to_torch(entry.transform, leaves[path]), order="C") for path, entry in entries.items()
    }
    return {source: tensors[source] for source in sorted(tensors, key=torch_order)}


def class_lines(names: tuple[str, ...] | None, checkpoint: str, file: str) -> str:
    """Return class names as the text of a file that ``port_weights.py --classes`` reads.

    Raises:
        JaxnextError: there are none, or one is not a line of UTF-8 text.
    """
    if names is None:
        raise JaxnextError(f"--classes {file}: expected class names to write, found no trained head in {checkpoint}")
    for name in names:
        broken = set(name) & {"\n", "\r", "\ufeff"} or not name.strip()
        if broken or name.encode(errors="replace").decode() != name:
            raise JaxnextError(f"--classes {file}: expected names that are each a line of text, found {name!a}")
    return "".join(f"{name}\n" for name in names)
