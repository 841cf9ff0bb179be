"""A network of which some parts are not trained."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from jaxnext.config.sections import ModelConfig
from jaxnext.errors import UsageError
from jaxnext.models.classifier import Classifier
from jaxnext.models.parts import check_part_names, part_of
from jaxnext.tree import flatten, unflatten

Tree = dict[str, Any]
"""A nested dict as the ``params`` collection is one."""


def frozen_network(model: Classifier, parts: tuple[str, ...]) -> Classifier:
    """Return a network whose ``parts`` compute in training as in evaluation, as after ``eval()`` in PyTorch.

    Their batch norms normalise with the running statistics and leave them as they are; nothing of them is dropped.

    Args:
        model: the network.
        parts: names as ``part_names`` gives them.
    """
    return model.clone(backbone=model.backbone.clone(frozen=parts), frozen=parts) if parts else model


def check_frozen(config: ModelConfig, params: Mapping[str, Any]) -> list[str]:
    """Return a line that says what is not trained; none where everything is.

    Args:
        config: the ``model`` section.
        params: the network's, arrays or shapes.

    Raises:
        UsageError: ``model.freeze`` names a part that the network does not have, or all that it has.
    """
    if not config.freeze:
        return []
    check_part_names("model.freeze", config.freeze, params)
    trained, fixed = split(dict(params), config.freeze)
    if not trained:
        raise UsageError(f"model.freeze: expected a part that is trained, found all, {', '.join(config.freeze)}")
    count = sum(int(np.prod(leaf.shape)) for leaf in flatten(fixed).values())
    later = "; ".join(f"{', '.join(config.unfreeze[k])} until epoch {k} is done" for k in sorted(config.unfreeze))
    return [f"not trained: {', '.join(config.freeze)}, {count:,} parameters{later and f'; {later}'}"]


def split(tree: Tree, parts: Collection[str]) -> tuple[Tree, Tree]:
    """Return the leaves that are not of ``parts``, and those that are."""
    flat = flatten(tree)
    inside = {path: leaf for path, leaf in flat.items() if part_of(path) in parts}
    return unflatten({path: leaf for path, leaf in flat.items() if path not in inside}), unflatten(inside)


def join(*trees: Tree) -> Tree:
    """Return one nested dict with the leaves of all; they have none in common."""
    return unflatten({path: leaf for tree in trees for path, leaf in flatten(tree).items()})
