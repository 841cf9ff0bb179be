"""The four settings in PyTorch and here with the same weights, and how far two results lie apart."""

import copy
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jaxnext_runs
import numpy as np
from flat_config import model_config
from live_seed import SEED
from torch_reference import SETTINGS, TINY, model, require, settle

from jaxnext.engine.network import network
from jaxnext.models.classifier import Classifier
from jaxnext.models.summary import variable_shapes
from jaxnext.tree import flatten, path_name

CLASSES = 12


class Ported(NamedTuple):
    """One setting, twice. In PyTorch it is in double and in evaluation mode; dropout never drops anything."""

    net: Any
    classifier: Classifier
    variables: dict[str, Any]


@functools.cache
def ported(setting: str, tiny: bool = True) -> Ported:
    """A setting in PyTorch and here, in float64, with the same random weights. Nobody may change what it returns."""
    require()
    net = settle(model(setting, CLASSES, tiny, dropout=0.0), SEED).double()
    with jax.enable_x64(True):
        classifier = network(model_config(**SETTINGS[setting], **(TINY if tiny else {})), CLASSES, "float64")
        return Ported(net, classifier, to_leaves(variable_shapes(classifier), net.state_dict()))


def to_leaves(like: Mapping[str, Any], tensors: Mapping[str, Any]) -> dict[str, Any]:
    """PyTorch's tensors as the leaves of ``like``, every one of them used and every leaf filled."""
    return jaxnext_runs.to_leaves(like, {name: tensor.detach().numpy() for name, tensor in tensors.items()})


def train_copy(net: Any) -> Any:
    """A copy in training mode, so that its running statistics may change."""
    return copy.deepcopy(net).train()


def to_torch(images: np.ndarray) -> Any:
    """``[N, H, W, C]`` as a tensor ``[N, C, H, W]``."""
    torch, _ = require()
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def to_numpy(tensor: Any) -> np.ndarray:
    """A tensor ``[N, C, H, W]`` as ``[N, H, W, C]``, any other as it is."""
    array = tensor.detach().numpy()
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


def relative_error(found: Any, expected: Any) -> float:
    """Largest absolute error over the largest absolute expected value."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    return float(np.max(np.abs(found - expected)) / np.max(np.abs(expected)))


def gradient_errors(found: Mapping[str, Any], expected: Mapping[str, Any], zero: set[str]) -> dict[str, float]:
    """For each leaf the norm of the error over that of the expected gradient, or of the whole one in ``zero``."""
    leaves = {path_name(path): np.asarray(leaf) for path, leaf in flatten(expected).items()}
    got = {path_name(path): np.asarray(leaf) for path, leaf in flatten(found).items()}
    assert got.keys() == leaves.keys()
    whole = float(np.sqrt(sum(np.sum(leaf**2) for leaf in leaves.values())))
    return {
        name: float(np.linalg.norm(got[name] - leaf) / (whole if name in zero else np.linalg.norm(leaf)))
        for name, leaf in leaves.items()
    }
