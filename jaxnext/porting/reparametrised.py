"""Weights that are kept as several tensors, multiplied out: pruned, with weight norm, with spectral norm.

Reference: ``torch/nn/utils/prune.py``, ``torch/nn/utils/weight_norm.py``, ``torch/nn/utils/spectral_norm.py``,
``torch/nn/utils/parametrizations.py``.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Final

import numpy as np

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.candidates import Described
from jaxnext.porting.files.pickle_names import Unread

_PARTS: Final = (
    r"(?P<name>.*(?:weight|bias))_(?P<part>orig|mask|u|v|g)",
    r"(?P<module>(?:.*\.)?)parametrizations\.(?P<leaf>weight|bias)\.(?P<part>original[01]?)",
    r"(?P<module>(?:.*\.)?)parametrizations\.(?P<leaf>weight|bias)\.0\.(?P<part>_u|_v)",
)
_MARKS: Final = ("weight_", "bias_", "parametrizations.")
_KINDS: Final = {
    frozenset(("orig", "mask")): "pruned",
    frozenset(("g", "v")): "weight norm",
    frozenset(("original0", "original1")): "weight norm",
    frozenset(("orig", "u", "v")): "spectral norm",
    frozenset(("original", "_u", "_v")): "spectral norm",
}
"""What the parts of a weight are, by their names."""


@dataclasses.dataclass(frozen=True)
class Product:
    """A tensor that is kept as several."""

    kind: str
    parts: dict[str, Described]

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape when it is multiplied out."""
        whole = next(self.parts[key] for key in ("orig", "original", "original1", "v") if key in self.parts)
        return () if isinstance(whole, Unread) else whole.shape


Source = Described | Product


def together(tensors: Mapping[str, Described]) -> dict[str, Source]:
    """Return tensors with one ``Product`` where a weight is kept in parts, under the weight's own name.

    Parts that do not make a weight stay as they are.
    """
    parts: dict[str, dict[str, str]] = {}
    for name in tensors:
        if not any(mark in name for mark in _MARKS):
            continue
        for pattern in _PARTS:
            if match := re.fullmatch(pattern, name):
                found = match.groupdict()
                whole = found.get("name") or f"{found['module']}{found['leaf']}"
                parts.setdefault(whole, {})[found["part"]] = name
                break
    products: dict[str, Source] = {}
    owner: dict[str, str] = {}
    for whole, names in parts.items():
        kind = _KINDS.get(frozenset(names))
        if kind is not None and whole not in tensors:
            products[whole] = Product(kind, {part: tensors[name] for part, name in names.items()})
            owner |= dict.fromkeys(names.values(), whole)
    result: dict[str, Source] = {}
    for name, tensor in tensors.items():
        whole = owner.get(name)
        result[whole or name] = products[whole] if whole else tensor
    return result


def unknown_parametrisation(names: Mapping[str, object]) -> str | None:
    """Return the first name of a weight that an unknown function would give, or ``None``."""
    return next((name for name in names if ".parametrizations." in f".{name}"), None)


def multiply_out(kind: str, parts: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the weight that its parts make.

    Args:
        kind: of the ``Product``.
        parts: its values.

    Raises:
        JaxnextError: their shapes do not fit each other. The message does not name the tensor.
    """
    try:
        if kind == "pruned":
            return parts["orig"] * parts["mask"].astype(parts["orig"].dtype)
        if kind == "weight norm":
            direction = parts["v"] if "v" in parts else parts["original1"]
            size = parts["g"] if "g" in parts else parts["original0"]
            wide = direction.astype(np.float64)
            # As PyTorch has it, the norm is over all dimensions but the one that the sizes keep.
            axes = tuple(axis for axis in range(wide.ndim) if size.ndim != wide.ndim or size.shape[axis] == 1)
            norm = np.sqrt(np.sum(wide**2, axes, keepdims=True))
            return (wide * (size.astype(np.float64) / norm)).astype(direction.dtype)
        whole = parts["orig"] if "orig" in parts else parts["original"]
        left, right = (parts[key] if key in parts else parts[f"_{key}"] for key in ("u", "v"))
        wide = whole.astype(np.float64)
        sigma = left.astype(np.float64) @ wide.reshape(wide.shape[0], -1) @ right.astype(np.float64)
        return (wide / sigma).astype(whole.dtype)
    except (ValueError, IndexError) as error:
        raise JaxnextError(f"its parts ({', '.join(parts)}) do not fit each other: {error}") from None
