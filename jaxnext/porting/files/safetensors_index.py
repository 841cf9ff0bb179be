"""A net in several safetensors files, with the index that says which holds which tensor.

Reference: ``huggingface_hub/serialization/_torch.py`` (``model.safetensors.index.json``).
"""

import json
from pathlib import Path
from typing import Final

import numpy as np

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.safetensors_file import is_safetensors, read_safetensors

_MAX_INDEX: Final = 5_000_000
"""Bytes; a longer index is refused."""


def is_index(data: bytes) -> bool:
    """Return whether a file begins as an index does: JSON, with its map of weights within the first bytes of it."""
    return data[:1] == b"{" and b'"weight_map"' in data


def read_index(data: bytes, folder: Path) -> tuple[dict[str, np.ndarray], int]:
    """Read the tensors of all files that an index names, in its order, and the size of the files.

    Args:
        data: the index.
        folder: where it lies, and the files beside it.

    Raises:
        JaxnextError: it is no index, a file is missing or elsewhere, or its tensors are not those that the index says.
    """
    try:
        weight_map = json.loads(data)["weight_map"] if len(data) <= _MAX_INDEX else None
    except (ValueError, KeyError, TypeError, RecursionError):
        weight_map = None
    texts = isinstance(weight_map, dict) and all(isinstance(file, str) for file in weight_map.values())
    if not isinstance(weight_map, dict) or not texts or not weight_map:
        raise JaxnextError("it is no index of safetensors files: expected a weight_map of names to files")
    shards: dict[str, dict[str, np.ndarray]] = {}
    size = 0
    for file in dict.fromkeys(weight_map.values()):
        if Path(file).name != file:
            raise JaxnextError(f"its index names {file[:100]!a}: expected files beside it")
        try:
            content = (folder / file).read_bytes()
        except (OSError, ValueError):
            raise JaxnextError(f"its index names {file[:100]!a}, which is not beside it") from None
        if not is_safetensors(content):
            raise JaxnextError(f"its index names {file[:100]!a}: expected a .safetensors file")
        try:
            shards[file] = read_safetensors(content)
        except JaxnextError as error:
            raise JaxnextError(f"{file}: {error}") from None
        size += len(content)
    missing = [name for name, file in weight_map.items() if name not in shards[file]]
    if missing:
        raise JaxnextError(f"its index has the tensor {missing[0][:100]!a} in {weight_map[missing[0]]}, found none")
    return {name: shards[file][name] for name, file in weight_map.items()}, size
