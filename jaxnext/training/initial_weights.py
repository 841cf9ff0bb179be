"""The variables that training starts from: the trained parts of a checkpoint, and fresh ones for the others."""

from pathlib import Path

import jax
import numpy as np

from jaxnext.config.packaged import configs_folder
from jaxnext.config.sections import ModelConfig
from jaxnext.engine.checkpoint import Meta, read_model
from jaxnext.errors import JaxnextError
from jaxnext.models.classifier import Classifier
from jaxnext.models.initialisation import initialise
from jaxnext.porting.named import weights_for
from jaxnext.tree import PARTS, differences, flatten, unflatten
from jaxnext.types import LeafPath, Variables


def complete(model: Classifier, variables: Variables, seed: int) -> Variables:
    """Return ``variables`` with every part that still consists of shapes (``jax.ShapeDtypeStruct``) initialised."""
    flat = flatten(variables)
    parts = {path[1] for path, leaf in flat.items() if isinstance(leaf, jax.ShapeDtypeStruct)}
    return unflatten(flat | flatten(initialise(model, seed, parts))) if parts else variables


def load_weights(
    folder: Path,
    fresh: Variables,
    classes: tuple[str, ...],
    port_command: str = "jaxnext port",
    net: ModelConfig | None = None,
) -> tuple[Variables, list[str]]:
    """Put the trained parts of a checkpoint over fresh variables.

    The backbone and the attention must fit. A head is taken where it was trained on the same class list, in the same
    order, and has the same layers; any other is initialised anew. Each part gets a line that says which.

    Args:
        folder: a ported checkpoint or a run; its best checkpoint is used.
        fresh: nested dict of NumPy arrays, or of their shapes (``jax.ShapeDtypeStruct``) for ``complete`` to fill.
        classes: names of the outputs, in order.
        port_command: that ports weights, for the error where there are none.
        net: the ``model`` section, for the same; ``None``: that of the four settings. Where images are normalised
            otherwise than in the checkpoint, a line says so.

    Returns:
        the variables, and a line for each part.

    Raises:
        JaxnextError: the folder holds no checkpoint, or a part does not fit; every leaf that does not is listed.
    """
    if not (folder / "checkpoints").is_dir():
        name, config = weights_for(net or ModelConfig(), configs_folder()) or ("SOURCE", "CONFIG")
        raise JaxnextError(
            f"model.weights: {folder} holds no checkpoint; make it with: "
            f"{port_command} {name} --config {config} --output {folder}, "
            "or start from scratch with --model.weights null"
        )
    variables, meta = read_model(folder, "best")
    flat, found = flatten(fresh), flatten(variables)
    lines, problems = [], []
    for part in PARTS:
        own = {path: leaf for path, leaf in flat.items() if path[1] == part}
        theirs = {path: leaf for path, leaf in found.items() if path[1] == part}
        trained = part in meta.trained
        if not own and not (trained and theirs):
            continue
        reason = "the checkpoint has none that is trained" if not trained else ""
        if part == "head" and trained:
            reason = _other_head(own, theirs, meta, classes)
        if reason:
            lines.append(f"{part}: newly initialised ({reason})")
            continue
        problems += differences(own, theirs)
        lines.append(f"{part}: from {folder}")
        flat.update({path: theirs[path].astype(leaf.dtype) for path, leaf in own.items() if path in theirs})
    if problems:
        raise JaxnextError(f"{folder}: the weights do not fit this network:\n  " + "\n  ".join(problems))
    theirs = meta.config.model
    if net is not None and (net.mean, net.std) != (theirs.mean, theirs.std):
        lines.append(
            f"warning: the weights of {folder} were made for images normalised by model.mean {list(theirs.mean)} and "
            f"model.std {list(theirs.std)}, which are others here"
        )
    return unflatten(flat), lines


def _other_head(
    own: dict[LeafPath, np.ndarray], theirs: dict[LeafPath, np.ndarray], meta: Meta, classes: tuple[str, ...]
) -> str:
    if meta.classes != classes:
        return "its classes are not those of the data"
    if differences(own, theirs):
        return "its layers are not those of this network"
    return ""
