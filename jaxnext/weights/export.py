"""A model's weights under PyTorch's names and in its layouts, to a file and back."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import safetensors.numpy

from jaxnext.atomic import whole_file
from jaxnext.engine.checkpoint import Meta, preprocessing
from jaxnext.errors import JaxnextError
from jaxnext.file_digests import UNSEALED, sealed
from jaxnext.porting.files.state_dict import load_state_dict
from jaxnext.porting.files.write_torch import write_torch
from jaxnext.porting.torchvision import to_torch, torch_order, weight_map
from jaxnext.tree import PARTS, flatten, path_name
from jaxnext.types import LeafPath, Variables

ExportFormat = Literal["pth", "safetensors"]
"""PyTorch's zip format, or safetensors."""


def trained_leaves(variables: Variables, meta: Meta) -> dict[LeafPath, np.ndarray]:
    """Return the leaves of the parts that are trained, by path, collection first."""
    return {path: np.asarray(leaf) for path, leaf in flatten(variables).items() if path[1] in meta.trained}


def export_weights(
    leaves: Mapping[LeafPath, np.ndarray], meta: Meta, output: Path, form: ExportFormat, name: str
) -> None:
    """Write a checkpoint's weights under PyTorch's names and in its layouts. The file appears whole or not at all.

    torchvision's network, with the original project's attention at ``layer4.cbam`` and its head at ``fc``, loads the
    file with ``strict=True``.

    Args:
        leaves: of ``trained_leaves``.
        meta: what the checkpoint says of itself.
        output: the file; one that is there is replaced.
        form: its format. A safetensors file has the class names as a JSON list in its metadata, under ``classes``, and
            how an image becomes an input under ``preprocessing``, and its own SHA-256; a ``.pth`` file has no place
            for them.
        name: of the checkpoint, for errors.

    Raises:
        JaxnextError: a part that PyTorch has no counterpart of, every leaf of it named; a file that cannot be written.
    """
    tensors = torch_tensors(leaves, name)
    with whole_file(output, "wb") as file:
        if form == "pth":
            write_torch(file, tensors)
        else:
            about = {"format": "pt", "preprocessing": json.dumps(preprocessing(meta.config)), "sha256": UNSEALED}
            if meta.classes is not None:
                about["classes"] = json.dumps(meta.classes)
            file.write(sealed(safetensors.numpy.save(tensors, about)))


def check_weights(leaves: Mapping[LeafPath, np.ndarray], output: Path, name: str) -> None:
    """Read what ``export_weights`` has written, and compare it with the leaves, bit for bit.

    Raises:
        JaxnextError: it has other tensors; the first is named.
    """
    found, expected = load_state_dict(output), torch_tensors(leaves, name)
    for source in sorted(found.keys() | expected.keys()):
        both = [tensors.get(source) for tensors in (expected, found)]
        kinds = [None if array is None else (array.dtype, array.shape, array.tobytes()) for array in both]
        if kinds[0] != kinds[1]:
            raise JaxnextError(f"{output}: expected the weights of {name}, found another {source}")


def describe(leaves: Mapping[LeafPath, np.ndarray], meta: Meta) -> str:
    """Say which parts are trained, and how much they hold."""
    parts = [part for part in PARTS if part in meta.trained]
    count = sum(array.size for path, array in leaves.items() if path[0] == "params")
    return f"{', '.join(parts)}; {len(leaves):,} tensors, {count:,} parameters"


def torch_tensors(leaves: Mapping[LeafPath, np.ndarray], name: str) -> dict[str, np.ndarray]:
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


def class_lines(names: tuple[str, ...], file: str) -> str:
    """Return class names as the text of a file that ``jaxnext port --classes`` reads.

    Raises:
        JaxnextError: one is not a line of UTF-8 text.
    """
    for name in names:
        broken = set(name) & {"\n", "\r", "\ufeff"} or not name.strip()
        if broken or name.encode(errors="replace").decode() != name:
            raise JaxnextError(f"--classes {file}: expected names that are each a line of text, found {name!a}")
    return "".join(f"{name}\n" for name in names)
